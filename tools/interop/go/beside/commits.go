package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	commitTime    = 5 * time.Second
	commitVersion = 10
)

// commits lets each of `clients` commit one partition's offset to a group of its own, over and over, waiting for each answer.
func commits(bootstrap, prefix string, topic kmsg.OffsetCommitRequestTopic, clients int) {
	var lock sync.Mutex
	var all []time.Duration
	var wait sync.WaitGroup
	started := make(chan struct{})
	for c := range clients {
		group := fmt.Sprintf("%s-%d-%d", prefix, clients, c)
		commitFirst(bootstrap, group, topic)
		clerk := newClerk(bootstrap, group, topic)
		defer clerk.conn.Close()
		wait.Go(func() {
			<-started
			var mine []time.Duration
			for begin := time.Now(); time.Since(begin) < commitTime; {
				sent := time.Now()
				check(clerk.commit(int64(len(mine))))
				mine = append(mine, time.Since(sent))
			}
			lock.Lock()
			defer lock.Unlock()
			all = append(all, mine...)
		})
	}
	close(started)
	wait.Wait()
	slices.Sort(all)
	tell(fmt.Sprintf("commits per second, %d clients", clients), float64(len(all))/commitTime.Seconds())
	tell(fmt.Sprintf("commit p50 ms, %d clients", clients), milliseconds(quantile(all, 0.5)))
	tell(fmt.Sprintf("commit p99 ms, %d clients", clients), milliseconds(quantile(all, 0.99)))
}

// commitFirst finds the group's coordinator, which may have something to load yet, and tries again as long as that is said to help.
func commitFirst(bootstrap, group string, topic kmsg.OffsetCommitRequestTopic) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	check(err)
	defer client.Close()
	for deadline := time.Now().Add(settled); ; time.Sleep(100 * time.Millisecond) {
		request := commitRequest(group, topic)
		answer, err := request.RequestWith(context.Background(), client)
		if err == nil {
			err = refusal(answer)
		}
		if !kerr.IsRetriable(err) || time.Now().After(deadline) {
			check(err)
			return
		}
	}
}

func commitRequest(group string, topic kmsg.OffsetCommitRequestTopic) *kmsg.OffsetCommitRequest {
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group, request.Generation = group, -1
	topic.Partitions = []kmsg.OffsetCommitRequestTopicPartition{kmsg.NewOffsetCommitRequestTopicPartition()}
	request.Topics = append(request.Topics, topic)
	return request
}

func refusal(answer *kmsg.OffsetCommitResponse) error {
	return kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode)
}

// clerk commits for one group over a connection of its own to the one node there is. A whole client takes several times the CPU of a server's answer, and
// where both share their cores it would be the client that is measured.
type clerk struct {
	conn      net.Conn
	from      *bufio.Reader
	formatter *kmsg.RequestFormatter
	request   *kmsg.OffsetCommitRequest
	frame     []byte
	number    int32
}

func newClerk(bootstrap, group string, topic kmsg.OffsetCommitRequestTopic) *clerk {
	conn, err := net.Dial("tcp", bootstrap)
	check(err)
	request := commitRequest(group, topic)
	request.SetVersion(commitVersion)
	return &clerk{conn: conn, from: bufio.NewReader(conn), formatter: kmsg.NewRequestFormatter(kmsg.FormatterClientID("beside")), request: request}
}

func (c *clerk) commit(offset int64) error {
	c.number++
	c.request.Topics[0].Partitions[0].Offset = offset
	c.frame = c.formatter.AppendRequest(c.frame[:0], c.request, c.number)
	if _, err := c.conn.Write(c.frame); err != nil {
		return err
	}
	var head [9]byte // length, the request's number, no tags
	if _, err := io.ReadFull(c.from, head[:]); err != nil {
		return err
	}
	if number := int32(binary.BigEndian.Uint32(head[4:])); number != c.number || head[8] != 0 {
		return fmt.Errorf("an answer to %d with tags %d, not to %d", number, head[8], c.number)
	}
	c.frame = append(c.frame[:0], make([]byte, binary.BigEndian.Uint32(head[:])-5)...)
	if _, err := io.ReadFull(c.from, c.frame); err != nil {
		return err
	}
	answer := kmsg.NewPtrOffsetCommitResponse()
	answer.SetVersion(commitVersion)
	if err := answer.ReadFrom(c.frame); err != nil {
		return err
	}
	return refusal(answer)
}
