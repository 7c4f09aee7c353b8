package jobs

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Timeout of one call.
const Timeout = 15 * time.Second

const patience = 5 * time.Second // how long a change may take to show

// Keys of topics and of the broker whose settings are compared, and the settings of topic t.
var (
	ComparedKeys = []string{"cleanup.policy", "max.message.bytes", "retention.ms"}
	BrokerKeys   = []string{"message.max.bytes", "num.partitions"}
	Settings     = map[string]string{"retention.ms": "3600000", "max.message.bytes": "2000000"}
)

// Call is one of harness/calls.py. An error is told by its code.
type Call struct {
	Name string
	Make func() (string, error)
}

// Day is what a client needs to know to make the calls of harness/calls.py.
type Day struct {
	Bootstrap, Prefix string
	Node              int32
	Base              int64 // milliseconds
	wanted            map[string]string
}

// Value is a record to be produced; Time is in milliseconds, 0 for now.
type Value struct {
	Data []byte
	Time int64
}

// loadValues reads the third argument, a file of names and values.
func loadValues() map[string]string {
	values := map[string]string{}
	err := eachLine(os.Args[3], func(f []string) { values[f[0]] = f[1] })
	if err != nil {
		panic(err)
	}
	return values
}

// LoadDay takes the arguments of `calls BOOTSTRAP FILE`.
func LoadDay() *Day {
	values := loadValues()
	return &Day{os.Args[2], values["prefix"], int32(number(values["node"])), int64(number(values["base"])), values}
}

// Run makes the calls in turn and prints the answers. code gives Kafka's code of an error, "refused", or "" if it is neither.
func (d *Day) Run(calls []Call, code func(error) string) {
	for _, call := range calls {
		started := time.Now()
		deadline := started.Add(patience)
		name, _, _ := strings.Cut(call.Name, "/")
		wanted, eventually := d.wanted["want."+name]
		answer := attempt(call, code)
		for eventually && answer != wanted && time.Now().Before(deadline) {
			time.Sleep(50 * time.Millisecond)
			answer = attempt(call, code)
		}
		fmt.Printf("%s\t%s\n", call.Name, answer)
		fmt.Fprintf(os.Stderr, "%s: %.1f s\n", call.Name, time.Since(started).Seconds())
	}
}

func attempt(call Call, code func(error) string) string {
	answer, err := call.Make()
	if err == nil {
		return answer
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", call.Name, err)
	switch known := code(err); known {
	case "":
		return "failed with " + strings.Join(strings.Fields(err.Error()), " ")
	case "refused":
		return known
	default:
		return "error " + known
	}
}

func (d *Day) Topic(name string) string {
	return d.Prefix + "." + name
}

func (d *Day) Topics(names ...string) []string {
	topics := make([]string, len(names))
	for i, name := range names {
		topics[i] = d.Topic(name)
	}
	return topics
}

// Mine are those of the topics that the client made, by their short names.
func (d *Day) Mine(topics []string) string {
	var mine []string
	for _, topic := range topics {
		if name, ok := strings.CutPrefix(topic, d.Prefix+"."); ok && name != "r" {
			mine = append(mine, name)
		}
	}
	slices.Sort(mine)
	return strings.Join(mine, " ")
}

// Timed is v0 to v9.
func (d *Day) Timed() []Value {
	values := Values("v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9")
	for i := range values {
		values[i].Time = d.Base + 1000*int64(i)
	}
	values[7].Time = d.Base + 99_000
	return values
}

func (d *Day) Late() time.Time {
	return time.UnixMilli(d.Base + 1_000_000)
}

func Values(texts ...string) []Value {
	var values []Value
	for _, text := range texts {
		values = append(values, Value{Data: []byte(text)})
	}
	return values
}

// Join puts the numbers or texts into one line.
func Join[T any](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = fmt.Sprint(value)
	}
	return strings.Join(texts, " ")
}

// SortedJoin is Join in ascending order.
func SortedJoin[T int | int8 | int16 | int32 | int64 | string](values []T) string {
	slices.Sort(values)
	return Join(values)
}

// Bits are the numbers of the bits that are set: authorized operations as Kafka sends them.
func Bits(set int32) string {
	var bits []int
	for bit := range 31 {
		if set&(1<<bit) != 0 {
			bits = append(bits, bit)
		}
	}
	return Join(bits)
}

// OK is the answer of a call that only succeeds or fails.
func OK(err error) (string, error) {
	return "ok", err
}

// Number is the answer of a call that gives one.
func Number[T int | int32 | int64](n T, err error) (string, error) {
	return strconv.FormatInt(int64(n), 10), err
}
