// burn_go: the shares of burn in Go; same options, same truth.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const clockThreadCPU = 3

func threadCPUNs() uint64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU,
		uintptr(unsafe.Pointer(&now)), 0)
	return uint64(now.Nano())
}

var sink uint64

//go:noinline
func leafA(rounds uint64) uint64 {
	state := rounds
	for left := rounds; left != 0; left-- {
		state = state*6364136223846793005 + left
	}
	return state
}

//go:noinline
func leafB(rounds uint64) uint64 {
	state := rounds
	for left := rounds; left != 0; left-- {
		state = state*6364136223846793005 + left
	}
	return state
}

//go:noinline
func leafC(rounds uint64) uint64 {
	state := rounds
	for left := rounds; left != 0; left-- {
		state = state*6364136223846793005 + left
	}
	return state
}

//go:noinline
func hopA(rounds uint64) uint64 { return leafA(rounds) + 1 }

//go:noinline
func pathA(rounds uint64) uint64 { return hopA(rounds) + 2 }

type worker struct{ calls uint64 }

//go:noinline
func (w *worker) pathB(rounds uint64) uint64 {
	w.calls++
	return leafB(rounds) + w.calls
}

//go:noinline
func pathC(rounds uint64) uint64 { return leafC(rounds) + 3 }

type scenario struct {
	Name    string     `json:"name"`
	Marker  string     `json:"marker"`
	CPUNs   uint64     `json:"cpu_ns"`
	Chains  [][]string `json:"chains"`
	Roots   []string   `json:"roots"`
	Inlined []string   `json:"inlined"`
}

func newScenario(name string, chain ...string) *scenario {
	whole := append(append([]string{}, chain...), "main.runRounds", "main.main")
	return &scenario{Name: name, Marker: chain[len(chain)-1],
		Chains: [][]string{whole}, Roots: []string{"runtime.goexit"},
		Inlined: []string{}}
}

//go:noinline
func runRounds(scenarios []*scenario, until time.Time, stopping *int32) {
	sink += leafA(3000000)
	start := threadCPUNs()
	sink += leafA(3000000)
	roundsPerMs := 3000000*1000000/(threadCPUNs()-start+1) + 1
	fmt.Printf("ready %d\n", os.Getpid())
	w := &worker{}
	random := uint32(7)
	for atomic.LoadInt32(stopping) == 0 && time.Now().Before(until) {
		random = random*1664525 + 1013904223
		rounds := roundsPerMs * uint64(500+(random>>8)%1000) / 1000
		now := threadCPUNs()
		for i, s := range scenarios {
			switch i {
			case 0:
				sink += pathA(rounds * 5)
			case 1:
				sink += w.pathB(rounds * 3)
			default:
				sink += pathC(rounds * 2)
			}
			then := now
			now = threadCPUNs()
			s.CPUNs += now - then
		}
	}
}

func main() {
	seconds := flag.Int("seconds", 60, "how long to run")
	flag.Parse()
	runtime.LockOSThread()
	var stopping int32
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		atomic.StoreInt32(&stopping, 1)
	}()
	scenarios := []*scenario{
		newScenario("a", "main.leafA", "main.hopA", "main.pathA"),
		newScenario("b", "main.leafB", "main.(*worker).pathB"),
		newScenario("c", "main.leafC", "main.pathC"),
	}
	runRounds(scenarios, time.Now().Add(time.Duration(*seconds)*time.Second),
		&stopping)
	truth, err := json.Marshal(map[string]interface{}{
		"pid": os.Getpid(), "scenarios": scenarios})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(truth))
}
