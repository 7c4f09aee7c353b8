// Package jobs is what the Go clients share: the job list, the plan, the digest (described in harness/plan.py), the report.
package jobs

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"time"
)

// IdleTimeout is how long a reader waits for a record before it gives up on its group.
const IdleTimeout = 20 * time.Second

const maxLineBytes = 16 << 20

// Job is one topic. MaxRequest is 0 where the client keeps its default limit.
type Job struct {
	Group, Topic, Codec string
	MaxRequest          int
	Counts              []int
	Plan                string
}

type Header struct {
	Name, Value []byte
}

// Record is one line of a plan. Nil slices are nulls.
type Record struct {
	Partition  int32
	Timestamp  time.Time
	Key, Value []byte
	Headers    []Header
}

func load(path string) ([]Job, error) {
	var jobs []Job
	err := eachLine(path, func(f []string) {
		job := Job{Group: f[0], Topic: f[1], Codec: f[2], MaxRequest: number(f[3]), Plan: f[5]}
		for _, count := range strings.Split(f[4], ",") {
			job.Counts = append(job.Counts, number(count))
		}
		jobs = append(jobs, job)
	})
	return jobs, err
}

// Records reads the job's plan, in the order in which it is to be produced.
func (j *Job) Records() ([]Record, error) {
	var records []Record
	err := eachLine(j.Plan, func(f []string) {
		r := Record{Partition: int32(number(f[0])), Timestamp: time.UnixMilli(int64(number(f[1]))), Key: decode(f[2]), Value: decode(f[3])}
		for _, pair := range strings.FieldsFunc(f[4], func(c rune) bool { return c == ',' }) {
			name, value, _ := strings.Cut(pair, ":")
			r.Headers = append(r.Headers, Header{decode(name), decode(value)})
		}
		records = append(records, r)
	})
	return records, err
}

func eachLine(path string, do func(fields []string)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		do(strings.Split(lines.Text(), "\t"))
	}
	return lines.Err()
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// decode gives nil for null.
func decode(text string) []byte {
	if text == "-" {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data // empty, but not nil, for an empty text
}

// Acks counts what the server acknowledged per partition, and the last offset it gave.
type Acks struct {
	count []int
	last  []int64
}

func (a *Acks) Add(partition int32, offset int64) {
	a.count[partition]++
	a.last[partition] = max(a.last[partition], offset)
}

type Partition struct {
	Topic     string
	Partition int32
}

type state struct {
	count                int
	contents, timestamps hash.Hash
}

// Digests of all partitions of a group of jobs. Missing counts the records that have not arrived.
type Digests struct {
	Missing int
	// Partitions that will hold records.
	Partitions []Partition
	states     map[Partition]*state
}

func newDigests(group []Job) *Digests {
	d := &Digests{states: map[Partition]*state{}}
	for _, job := range group {
		for p, count := range job.Counts {
			d.Missing += count
			key := Partition{job.Topic, int32(p)}
			d.states[key] = &state{0, sha256.New(), sha256.New()}
			if count > 0 {
				d.Partitions = append(d.Partitions, key)
			}
		}
	}
	return d
}

func (d *Digests) Add(topic string, offset int64, r Record) {
	s := d.states[Partition{topic, r.Partition}]
	s.count++
	binary.Write(s.contents, binary.BigEndian, offset)
	addBytes(s.contents, r.Key)
	addBytes(s.contents, r.Value)
	binary.Write(s.contents, binary.BigEndian, int32(len(r.Headers)))
	for _, h := range r.Headers {
		addBytes(s.contents, h.Name)
		addBytes(s.contents, h.Value)
	}
	binary.Write(s.timestamps, binary.BigEndian, r.Timestamp.UnixMilli())
	d.Missing--
}

func addBytes(digest hash.Hash, data []byte) {
	length := int32(len(data))
	if data == nil {
		length = -1
	}
	binary.Write(digest, binary.BigEndian, length)
	digest.Write(data)
}

// Main is the command line of every client: produce|consume BOOTSTRAP JOBS, calls BOOTSTRAP FILE, or group BOOTSTRAP FILE.
// consume is called once per group of jobs, with everything that the group's topics hold.
func Main(
	produce func(bootstrap string, job *Job, acks *Acks) error,
	consume func(bootstrap string, digests *Digests) error,
	calls func(day *Day) error,
	join func(*Plan) (Member, error),
) {
	action, bootstrap, path := os.Args[1], os.Args[2], os.Args[3]
	if action == "calls" || action == "group" {
		err := error(nil)
		if action == "calls" {
			err = calls(LoadDay())
		} else {
			err = runMember(join)
		}
		if err != nil {
			panic(err)
		}
		return
	}
	jobs, err := load(path)
	if err != nil {
		panic(err)
	}
	if action == "produce" {
		for i := range jobs {
			produceOne(bootstrap, &jobs[i], produce)
		}
		return
	}
	for len(jobs) > 0 {
		n := 1
		for n < len(jobs) && jobs[n].Group == jobs[0].Group {
			n++
		}
		digests := newDigests(jobs[:n])
		if err := consume(bootstrap, digests); err != nil {
			fail(jobs[:n], err)
		}
		for key, s := range digests.states {
			fmt.Printf("%s\t%d\t%d\t%x\t%x\n", key.Topic, key.Partition, s.count, s.contents.Sum(nil), s.timestamps.Sum(nil))
		}
		jobs = jobs[n:]
	}
}

func produceOne(bootstrap string, job *Job, produce func(string, *Job, *Acks) error) {
	acks := &Acks{make([]int, len(job.Counts)), make([]int64, len(job.Counts))}
	for p := range acks.last {
		acks.last[p] = -1
	}
	if err := produce(bootstrap, job, acks); err != nil {
		fail([]Job{*job}, err)
	}
	for p := range acks.count {
		fmt.Printf("%s\t%d\t%d\t%d\n", job.Topic, p, acks.count[p], acks.last[p])
	}
}

// fail reports an error for each of the jobs; the others go on.
func fail(jobs []Job, err error) {
	for _, job := range jobs {
		fmt.Printf("%s\terror\t%s\n", job.Topic, strings.Join(strings.Fields(err.Error()), " "))
	}
}
