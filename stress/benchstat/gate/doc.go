// Command gate compares the benchmarks of the working tree with those of an earlier commit,
// and fails where something has become slower.
//
//	make bench-gate BASE=main
//	go -C stress/benchstat run ./gate -base main -bench 'Pooling|Queueing' .
//
// Both test binaries are built first, and take turns on the same machine: base, tree, tree,
// base. A figure is compared within each pair, so what slows the machine for a while slows
// both. It has become worse if the median of the ratios is below 0.95 and their interval, of
// 99 % confidence by order statistics, lies below 1. Figures are times an operation and rates;
// those of memory are not judged. A benchmark that one side lacks is named and left out.
package main
