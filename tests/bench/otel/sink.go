// sink FILE: listens on a free port of the loopback for profiles over OTLP,
// says "listening on ADDRESS" and writes each sample as a line of JSON to FILE.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"

	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
)

// frame is {file, address in it, name or "", frame type}.
type frame [4]any

type sampleLine struct {
	PID    int64   `json:"pid"`
	Count  int     `json:"count"`
	Frames []frame `json:"frames"`
}

type sink struct {
	pprofileotlp.UnimplementedGRPCServer
	mutex sync.Mutex
	lines *json.Encoder
}

func frameType(dictionary pprofile.ProfilesDictionary,
	location pprofile.Location) string {
	text := dictionary.StringTable()
	for _, index := range location.AttributeIndices().All() {
		attribute := dictionary.AttributeTable().At(int(index))
		if text.At(int(attribute.KeyStrindex())) == "profile.frame.type" {
			return attribute.Value().Str()
		}
	}
	return ""
}

func frameOf(dictionary pprofile.ProfilesDictionary, index int32) frame {
	location := dictionary.LocationTable().At(int(index))
	text := dictionary.StringTable()
	file := ""
	if mapping := location.MappingIndex(); mapping > 0 {
		file = text.At(int(dictionary.MappingTable().At(int(mapping)).
			FilenameStrindex()))
	}
	name := ""
	if lines := location.Lines(); lines.Len() > 0 {
		function := lines.At(lines.Len() - 1).FunctionIndex()
		name = text.At(int(dictionary.FunctionTable().At(int(function)).
			NameStrindex()))
	}
	return frame{file, location.Address(), name,
		frameType(dictionary, location)}
}

func (s *sink) write(pid int64, dictionary pprofile.ProfilesDictionary,
	profile pprofile.Profile) error {
	for _, sample := range profile.Samples().All() {
		line := sampleLine{PID: pid, Count: sample.TimestampsUnixNano().Len()}
		stack := dictionary.StackTable().At(int(sample.StackIndex()))
		for _, index := range stack.LocationIndices().All() {
			line.Frames = append(line.Frames, frameOf(dictionary, index))
		}
		if err := s.lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// Export is called by the profiler with what it has collected.
func (s *sink) Export(_ context.Context, request pprofileotlp.ExportRequest) (
	pprofileotlp.ExportResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	profiles := request.Profiles()
	for _, resource := range profiles.ResourceProfiles().All() {
		pid := int64(0)
		if value, ok := resource.Resource().Attributes().
			Get("process.pid"); ok {
			pid = value.Int()
		}
		for _, scope := range resource.ScopeProfiles().All() {
			for _, profile := range scope.Profiles().All() {
				if err := s.write(pid, profiles.Dictionary(),
					profile); err != nil {
					return pprofileotlp.NewExportResponse(), err
				}
			}
		}
	}
	return pprofileotlp.NewExportResponse(), nil
}

func run(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	server := grpc.NewServer(grpc.MaxRecvMsgSize(1 << 28))
	pprofileotlp.RegisterGRPCServer(server,
		&sink{lines: json.NewEncoder(file)})
	return server.Serve(listener)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sink FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
