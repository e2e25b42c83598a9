// What the benchmarks need of another profiler: itself, and a place to which it
// can send what it finds.
module otel

go 1.25.0

tool go.opentelemetry.io/ebpf-profiler

require (
	go.opentelemetry.io/collector/pdata/pprofile v0.158.0
	go.opentelemetry.io/ebpf-profiler v0.0.202633
	google.golang.org/grpc v1.83.0
)
