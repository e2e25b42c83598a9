// Counts words: closures, methods, generics, interfaces, goroutines, defer.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
)

type Number interface{ ~int | ~int64 | ~float64 }

func sum[T Number](values []T) T {
	var total T
	for _, value := range values {
		total += value
	}
	return total
}

type Stack[T any] struct{ items []T }

func (s *Stack[T]) Push(item T) { s.items = append(s.items, item) }
func (s *Stack[T]) Pop() (item T, ok bool) {
	if len(s.items) == 0 {
		return item, false
	}
	item = s.items[len(s.items)-1]
	s.items = s.items[:len(s.items)-1]
	return item, true
}

type counter struct {
	sync.Mutex
	Counts map[string]int `json:"counts"`
}

func (c *counter) add(word string) {
	c.Lock()
	defer c.Unlock()
	c.Counts[word]++
}

func (c *counter) String() string {
	words := make([]string, 0, len(c.Counts))
	for word := range c.Counts {
		words = append(words, word)
	}
	sort.Slice(words, func(i, j int) bool {
		return c.Counts[words[i]] > c.Counts[words[j]] || words[i] < words[j]
	})
	return strings.Join(words, " ")
}

func main() {
	counts := &counter{Counts: map[string]int{}}
	lines := make(chan string)
	var workers sync.WaitGroup
	for i := 0; i < 3; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for line := range lines {
				for _, word := range strings.Fields(line) {
					counts.add(strings.ToLower(word))
				}
			}
		}()
	}
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		lines <- scanner.Text()
	}
	close(lines)
	workers.Wait()
	stack := &Stack[float64]{}
	for _, count := range counts.Counts {
		stack.Push(float64(count))
	}
	top, _ := stack.Pop()
	text, err := json.Marshal(counts)
	if err != nil {
		panic(err)
	}
	fmt.Println(counts, top, sum(stack.items), string(text))
}
