module tensile/stress/museum

go 1.26.0

require (
	github.com/alitto/pond/v2 v2.5.0
	github.com/cornelk/hashmap v1.0.8
	github.com/gomodule/redigo v1.8.3
	github.com/jackc/puddle v1.1.3
	github.com/jackc/puddle/v2 v2.2.3
	github.com/panjf2000/ants/v2 v2.10.0
	github.com/stretchr/testify v1.12.1
	tensile v0.0.0
)

require (
	github.com/aclements/go-moremath v0.0.0-20210112150236-f10218a38794 // indirect
	github.com/anishathalye/porcupine v1.3.1 // indirect
	github.com/montanaflynn/stats v0.14.0 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.3.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace tensile => ../..
