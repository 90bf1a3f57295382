module tensile

go 1.26
