package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"torc/tools/interop/go/jobs"
)

// The calls of harness/calls.py: with kadm, and with kmsg, where the requests themselves say more.
type franz struct {
	*jobs.Day
	ctx    context.Context
	client *kgo.Client
	admin  *kadm.Client
}

// metadataAge is how long an answer is kept that may hide a change.
var metadataAge = kgo.MetadataMinAge(50 * time.Millisecond)

func calls(day *jobs.Day) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(day.Bootstrap), kgo.RequestRetries(2), metadataAge)
	if err != nil {
		return err
	}
	defer client.Close()
	f := &franz{day, context.Background(), client, kadm.NewClient(client)}
	day.Run(slices.Concat(f.cluster(), f.creation(), f.descriptions(), f.settings(), f.partitions(), f.producing(), f.offsets(), f.consuming(), f.end()), code)
	return nil
}

func code(err error) string {
	var kafka *kerr.Error
	switch {
	case errors.As(err, &kafka):
		return strconv.Itoa(int(kafka.Code))
	case strings.Contains(err.Error(), "request key is unknown"), strings.Contains(err.Error(), "broker is too old"):
		return "refused"
	default:
		return ""
	}
}

func (f *franz) cluster() []jobs.Call {
	return []jobs.Call{
		{"api_versions", func() (string, error) {
			response, err := kmsg.NewPtrApiVersionsRequest().RequestWith(f.ctx, f.client)
			if err != nil {
				return "", err
			}
			var keys []int16
			for _, key := range response.ApiKeys {
				keys = append(keys, key.ApiKey)
			}
			return jobs.SortedJoin(keys), kerr.ErrorForCode(response.ErrorCode)
		}},
		{"features", func() (string, error) {
			response, err := kmsg.NewPtrApiVersionsRequest().RequestWith(f.ctx, f.client)
			if err != nil {
				return "", err
			}
			var features []string
			for _, feature := range response.SupportedFeatures {
				features = append(features, fmt.Sprintf("%s=%d-%d", feature.Name, feature.MinVersion, feature.MaxVersion))
			}
			return jobs.Join(features), nil
		}},
		{"cluster_id", func() (string, error) {
			found, err := f.admin.BrokerMetadata(f.ctx)
			return found.Cluster, err
		}},
		{"cluster_id/describe", func() (string, error) {
			response, err := f.describeCluster()
			return response.ClusterID, err
		}},
		{"controller", func() (string, error) {
			found, err := f.admin.BrokerMetadata(f.ctx)
			return jobs.Number(found.Controller, err)
		}},
		{"controller/describe", func() (string, error) {
			response, err := f.describeCluster()
			return jobs.Number(response.ControllerID, err)
		}},
		{"nodes", func() (string, error) {
			brokers, err := f.admin.ListBrokers(f.ctx)
			var nodes []string
			for _, b := range brokers {
				nodes = append(nodes, fmt.Sprintf("%d=%s:%d", b.NodeID, b.Host, b.Port))
			}
			return jobs.Join(nodes), err
		}},
		{"cluster_operations", func() (string, error) {
			response, err := f.describeCluster()
			return jobs.Bits(response.ClusterAuthorizedOperations), err
		}},
	}
}

func (f *franz) describeCluster() (*kmsg.DescribeClusterResponse, error) {
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeClusterAuthorizedOperations = true
	response, err := request.RequestWith(f.ctx, f.client)
	if err != nil {
		return &kmsg.DescribeClusterResponse{}, err
	}
	return response, kerr.ErrorForCode(response.ErrorCode)
}

func (f *franz) creation() []jobs.Call {
	create := func(name string, partitions int32, replicas int16, settings map[string]string) func() (string, error) {
		return func() (string, error) {
			_, err := f.admin.CreateTopic(f.ctx, partitions, replicas, pointers(settings), f.Topic(name))
			return jobs.OK(err)
		}
	}
	return []jobs.Call{
		{"create", create("t", 3, 1, jobs.Settings)},
		{"create_result", func() (string, error) {
			made, err := f.admin.CreateTopic(f.ctx, 2, 1, pointers(map[string]string{"retention.ms": "3600000"}), f.Topic("r"))
			entry := made.Configs["retention.ms"]
			return fmt.Sprintf("partitions=%d replication=%d retention.ms=%s/%d", made.NumPartitions, made.ReplicationFactor, entry.MaybeValue(), entry.Source), err
		}},
		{"create_defaults", create("d", -1, -1, nil)},
		{"create_manual", func() (string, error) { return f.createPlaced("m", f.Node, f.Node) }},
		{"create_validate", func() (string, error) {
			made, err := f.admin.ValidateCreateTopics(f.ctx, 1, 1, nil, f.Topic("v"))
			return jobs.OK(errors.Join(err, made.Error()))
		}},
		{"create_duplicate", create("t", 3, 1, nil)},
		{"create_bad_value", create("x", 1, 1, map[string]string{"retention.ms": "soon"})},
		{"create_bad_key", create("x", 1, 1, map[string]string{"no.such.key": "1"})},
		{"create_bad_partitions", create("x", 0, 1, nil)},
		{"create_bad_replication", create("x", 1, 3, nil)},
		{"create_bad_name", create("a/b", 1, 1, nil)},
		{"create_bad_assignment", func() (string, error) { return f.createPlaced("x", f.Node+98) }},
		{"create_p", create("p", 4, 1, nil)},
	}
}

func (f *franz) createPlaced(name string, nodes ...int32) (string, error) {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = f.Topic(name), -1, -1
	for p, node := range nodes {
		placed := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		placed.Partition, placed.Replicas = int32(p), []int32{node}
		topic.ReplicaAssignment = append(topic.ReplicaAssignment, placed)
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis, request.Topics = 10_000, []kmsg.CreateTopicsRequestTopic{topic}
	response, err := request.RequestWith(f.ctx, f.client)
	if err != nil {
		return "", err
	}
	return jobs.OK(kerr.ErrorForCode(response.Topics[0].ErrorCode))
}

func (f *franz) descriptions() []jobs.Call {
	sizes := func(names ...string) func() (string, error) {
		return func() (string, error) {
			found, err := f.admin.ListTopics(f.ctx, f.Topics(names...)...)
			var sizes []string
			for _, topic := range found.Sorted() {
				err = errors.Join(err, topic.Err)
				sizes = append(sizes, fmt.Sprintf("%s=%d", strings.TrimPrefix(topic.Topic, f.Prefix+"."), len(topic.Partitions)))
			}
			return jobs.SortedJoin(sizes), err
		}
	}
	return []jobs.Call{
		{"list_topics", func() (string, error) {
			found, err := f.admin.ListTopics(f.ctx)
			return f.Mine(found.Names()), err
		}},
		{"list_topics/internal", func() (string, error) {
			found, err := f.admin.ListTopicsWithInternal(f.ctx)
			return f.Mine(found.Names()), err
		}},
		{"describe_topics", sizes("d", "m", "t")},
		{"describe_ids", f.describeIDs},
		{"describe_partitions", func() (string, error) {
			found, err := f.admin.ListTopics(f.ctx, f.Topic("p"))
			var placed []string
			for _, p := range found[f.Topic("p")].Partitions.Sorted() {
				placed = append(placed, fmt.Sprintf("%d=%d/%s/%s", p.Partition, p.Leader, jobs.Join(p.Replicas), jobs.Join(p.ISR)))
			}
			return jobs.Join(placed), err
		}},
		{"topic_operations", func() (string, error) {
			request := kmsg.NewPtrMetadataRequest()
			request.IncludeTopicAuthorizedOperations = true
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr(f.Topic("t"))
			request.Topics = append(request.Topics, topic)
			response, err := request.RequestWith(f.ctx, f.client)
			if err != nil {
				return "", err
			}
			return jobs.Bits(response.Topics[0].AuthorizedOperations), kerr.ErrorForCode(response.Topics[0].ErrorCode)
		}},
		{"describe_unknown", sizes("x")},
	}
}

func (f *franz) describeIDs() (string, error) {
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range []string{"m", "t"} {
		id, err := f.id(name)
		if err != nil {
			return "", err
		}
		topic := kmsg.NewMetadataRequestTopic()
		topic.TopicID = id
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(f.ctx, f.client)
	if err != nil {
		return "", err
	}
	var sizes []string
	for _, topic := range response.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return "", err
		}
		sizes = append(sizes, fmt.Sprintf("%s=%d", strings.TrimPrefix(*topic.Topic, f.Prefix+"."), len(topic.Partitions)))
	}
	return jobs.SortedJoin(sizes), nil
}

func (f *franz) id(name string) ([16]byte, error) {
	found, err := f.admin.ListTopics(f.ctx, f.Topic(name))
	return found[f.Topic(name)].ID, errors.Join(err, found[f.Topic(name)].Err)
}

func (f *franz) settings() []jobs.Call {
	compared := func() (string, error) {
		found, err := f.admin.DescribeTopicConfigs(f.ctx, f.Topic("t"))
		return values(found, err, jobs.ComparedKeys)
	}
	alter := func(name string, op kadm.IncrementalOp, key, value string) func() (string, error) {
		return func() (string, error) {
			change := kadm.AlterConfig{Op: op, Name: key, Value: &value}
			if op == kadm.DeleteConfig {
				change.Value = nil
			}
			done, err := f.admin.AlterTopicConfigs(f.ctx, []kadm.AlterConfig{change}, f.Topic(name))
			return altered(done, err)
		}
	}
	legacy := func(name, key, value string) func() (string, error) {
		return func() (string, error) {
			return altered(f.admin.AlterTopicConfigsState(f.ctx, []kadm.AlterConfig{{Name: key, Value: &value}}, f.Topic(name)))
		}
	}
	return []jobs.Call{
		{"configs", compared},
		{"configs_some", f.describeSome(kmsg.ConfigResourceTypeTopic, f.Topic("t"), []string{"retention.ms", "cleanup.policy"}, every)},
		{"configs_synonyms", func() (string, error) {
			found, err := f.admin.DescribeTopicConfigs(f.ctx, f.Topic("t"))
			if err != nil {
				return "", err
			}
			var synonyms []string
			for _, entry := range found[0].Configs {
				for _, synonym := range entry.Synonyms {
					if entry.Key == "max.message.bytes" {
						synonyms = append(synonyms, fmt.Sprintf("%s=%s/%d", synonym.Key, *synonym.Value, synonym.Source))
					}
				}
			}
			return jobs.Join(synonyms), nil
		}},
		{"configs_documentation", f.describeSome(kmsg.ConfigResourceTypeTopic, f.Topic("t"), []string{"retention.ms"}, func(c []config) string {
			return map[bool]string{true: "yes", false: "no"}[c[0].Documentation != nil && *c[0].Documentation != ""]
		})},
		{"configs_types", f.describeSome(kmsg.ConfigResourceTypeTopic, f.Topic("t"), jobs.ComparedKeys, func(c []config) string {
			var types []string
			for _, entry := range c {
				types = append(types, fmt.Sprintf("%s=%d", entry.Name, entry.ConfigType))
			}
			return jobs.SortedJoin(types)
		})},
		{"configs_broker", func() (string, error) {
			found, err := f.admin.DescribeBrokerConfigs(f.ctx, f.Node)
			return values(found, err, jobs.BrokerKeys)
		}},
		{"configs_broker_some", f.describeSome(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(f.Node)), []string{"num.partitions"}, every)},
		{"configs_broker_default", func() (string, error) {
			found, err := f.admin.DescribeBrokerConfigs(f.ctx)
			return values(found, err, []string{"log.retention.ms"})
		}},
		{"configs_unknown", func() (string, error) {
			found, err := f.admin.DescribeTopicConfigs(f.ctx, f.Topic("x"))
			return values(found, err, jobs.ComparedKeys)
		}},
		{"alter_set", alter("t", kadm.SetConfig, "retention.ms", "7200000")},
		{"alter_set_done", compared},
		{"alter_delete", alter("t", kadm.DeleteConfig, "retention.ms", "")},
		{"alter_delete_done", compared},
		{"alter_append", alter("t", kadm.AppendConfig, "cleanup.policy", "delete")},
		{"alter_append_done", compared},
		{"alter_subtract", alter("t", kadm.SubtractConfig, "cleanup.policy", "compact")},
		{"alter_subtract_done", compared},
		{"alter_validate", func() (string, error) {
			change := kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: kmsg.StringPtr("1000")}
			return altered(f.admin.ValidateAlterTopicConfigs(f.ctx, []kadm.AlterConfig{change}, f.Topic("t")))
		}},
		{"alter_bad_value", alter("t", kadm.SetConfig, "retention.ms", "soon")},
		{"alter_bad_key", alter("t", kadm.SetConfig, "no.such.key", "1")},
		{"alter_unknown", alter("x", kadm.SetConfig, "retention.ms", "1000")},
		{"alter_legacy", legacy("t", "max.message.bytes", "1500000")},
		{"alter_legacy_done", compared},
		{"alter_legacy_bad_value", legacy("t", "retention.ms", "soon")},
		{"alter_legacy_unknown", legacy("x", "retention.ms", "1000")},
	}
}

type config = kmsg.DescribeConfigsResponseResourceConfig

// every is all that came.
func every(configs []config) string {
	var all []string
	for _, entry := range configs {
		all = append(all, fmt.Sprintf("%s=%s/%d", entry.Name, *entry.Value, entry.Source))
	}
	return jobs.SortedJoin(all)
}

func (f *franz) describeSome(kind kmsg.ConfigResourceType, name string, keys []string, tell func([]config) string) func() (string, error) {
	return func() (string, error) {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName, resource.ConfigNames = kind, name, keys
		request := kmsg.NewPtrDescribeConfigsRequest()
		request.IncludeDocumentation = true
		request.Resources = []kmsg.DescribeConfigsRequestResource{resource}
		response, err := request.RequestWith(f.ctx, f.client)
		if err != nil {
			return "", err
		}
		return tell(response.Resources[0].Configs), kerr.ErrorForCode(response.Resources[0].ErrorCode)
	}
}

func values(found kadm.ResourceConfigs, err error, keys []string) (string, error) {
	if err != nil || len(found) != 1 {
		return "", errors.Join(err, fmt.Errorf("%d resources", len(found)))
	}
	var values []string
	for _, entry := range found[0].Configs {
		if slices.Contains(keys, entry.Key) {
			values = append(values, fmt.Sprintf("%s=%s/%d", entry.Key, entry.MaybeValue(), entry.Source))
		}
	}
	return jobs.SortedJoin(values), found[0].Err
}

func altered(done kadm.AlterConfigsResponses, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return jobs.OK(done[0].Err)
}

func (f *franz) partitions() []jobs.Call {
	update := func(ask func(context.Context, int, ...string) (kadm.CreatePartitionsResponses, error), name string, count int) func() (string, error) {
		return func() (string, error) {
			done, err := ask(f.ctx, count, f.Topic(name))
			return jobs.OK(errors.Join(err, done.Error()))
		}
	}
	placed := func(name string, count, node int32) func() (string, error) {
		return func() (string, error) {
			topic := kmsg.NewCreatePartitionsRequestTopic()
			topic.Topic, topic.Count = f.Topic(name), count
			topic.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{node}}}
			request := kmsg.NewPtrCreatePartitionsRequest()
			request.TimeoutMillis, request.Topics = 10_000, []kmsg.CreatePartitionsRequestTopic{topic}
			response, err := request.RequestWith(f.ctx, f.client)
			if err != nil {
				return "", err
			}
			return jobs.OK(kerr.ErrorForCode(response.Topics[0].ErrorCode))
		}
	}
	return []jobs.Call{
		{"partitions_validate", update(f.admin.ValidateUpdatePartitions, "m", 3)},
		{"partitions", update(f.admin.CreatePartitions, "m", 2)}, // 2 more
		{"partitions_manual", placed("m", 5, f.Node)},
		{"partitions_done", func() (string, error) {
			found, err := f.admin.ListTopics(f.ctx, f.Topic("m"))
			return fmt.Sprintf("m=%d", len(found[f.Topic("m")].Partitions)), err
		}},
		{"partitions_fewer", update(f.admin.UpdatePartitions, "m", 2)},
		{"partitions_bad_assignment", placed("m", 6, f.Node+98)},
		{"partitions_unknown", placed("x", 2, f.Node)},
	}
}

func (f *franz) produce(name string, partition int32, values []jobs.Value, options ...kgo.Opt) (string, error) {
	options = append([]kgo.Opt{kgo.SeedBrokers(f.Bootstrap), metadataAge, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.UnknownTopicRetries(1), kgo.RecordRetries(3)}, options...)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return "", err
	}
	defer client.Close()
	var records []*kgo.Record
	for i, v := range values {
		record := &kgo.Record{Topic: f.Topic(name), Partition: partition, Key: fmt.Appendf(nil, "k%d", i), Value: v.Data}
		if v.Time != 0 {
			record.Timestamp = time.UnixMilli(v.Time)
		}
		records = append(records, record)
	}
	var offsets []string
	ctx, cancel := context.WithTimeout(f.ctx, jobs.Timeout) // a delivery timeout counts from the record's timestamp
	defer cancel()
	for _, result := range client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			return "", result.Err
		}
		offsets = append(offsets, strconv.FormatInt(result.Record.Offset, 10))
	}
	return strings.ReplaceAll(strings.Join(offsets, " "), "-1", "ok"), nil
}

func (f *franz) producing() []jobs.Call {
	three := jobs.Values("a", "b", "c")
	plain := kgo.DisableIdempotentWrite()
	compressed := func(options ...kgo.Opt) func() (string, error) {
		return func() (string, error) {
			var offsets []string
			for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
				long := strings.Repeat("some ", 100)
				found, err := f.produce("p", 2, jobs.Values(long, long), append(options, kgo.ProducerBatchCompression(codecs[name]))...)
				if err != nil {
					return "", fmt.Errorf("%s: %w", name, err)
				}
				offsets = append(offsets, found)
			}
			return strings.Join(offsets, " "), nil
		}
	}
	return []jobs.Call{
		{"produce_leader", func() (string, error) { return f.produce("p", 0, three, plain, kgo.RequiredAcks(kgo.LeaderAck())) }},
		{"produce_all", func() (string, error) { return f.produce("p", 0, three, plain) }},
		{"produce_idempotent", func() (string, error) { return f.produce("p", 0, three) }},
		{"produce_times", func() (string, error) { return f.produce("p", 1, f.Timed()) }},
		{"produce_codecs", compressed(plain)},
		{"produce_codecs_idempotent", compressed()},
		{"produce_none", func() (string, error) {
			if _, err := f.produce("p", 3, three, plain, kgo.RequiredAcks(kgo.NoAck())); err != nil {
				return "", err
			}
			return "ok ok ok", nil
		}},
		{"produce_none_done", func() (string, error) { return offset(f.admin.ListEndOffsets, f.ctx, f.Topic("p"), 3) }},
		{"produce_large", func() (string, error) {
			return f.produce("p", 0, []jobs.Value{{Data: make([]byte, 3_000_000)}}, kgo.ProducerBatchMaxBytes(4_000_000))
		}},
		{"produce_future", func() (string, error) { return f.produce("p", 0, []jobs.Value{{[]byte("a"), f.Base + 86_400_000}}) }},
		{"produce_unknown", func() (string, error) { return f.produce("x", 0, three) }},
		{"auto_create", func() (string, error) {
			if found, err := f.admin.ListTopics(f.ctx); err != nil || !found.Has(f.Topic("a")) {
				if _, err := f.produce("a", 0, three[:1], kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(10)); err != nil {
					return "", err
				}
			}
			return offset(f.admin.ListStartOffsets, f.ctx, f.Topic("a"), 0)
		}},
	}
}

func offset(list func(context.Context, ...string) (kadm.ListedOffsets, error), ctx context.Context, topic string, partition int32) (string, error) {
	listed, err := list(ctx, topic)
	if err != nil {
		return "", err
	}
	found, ok := listed.Lookup(topic, partition)
	if !ok {
		return "", fmt.Errorf("partition %d is not in the answer", partition)
	}
	return jobs.Number(found.Offset, found.Err)
}

func (f *franz) offsets() []jobs.Call {
	p := f.Topic("p")
	of := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) func() (string, error) {
		return func() (string, error) { return offset(list, f.ctx, p, 1) }
	}
	after := func(ms int64) (string, string, error) {
		listed, err := f.admin.ListOffsetsAfterMilli(f.ctx, ms, p)
		found, _ := listed.Lookup(p, 1)
		return strconv.FormatInt(found.Offset, 10), strconv.FormatInt(found.Timestamp, 10), errors.Join(err, found.Err)
	}
	return []jobs.Call{
		{"offset_earliest", of(f.admin.ListStartOffsets)},
		{"offset_latest", of(f.admin.ListEndOffsets)},
		{"offset_committed", of(f.admin.ListCommittedOffsets)},
		{"offset_time", func() (string, error) {
			offset, _, err := after(f.Base + 3500)
			return offset, err
		}},
		{"offset_time_found", func() (string, error) {
			_, at, err := after(f.Base + 3500)
			return at, err
		}},
		{"offset_time_late", func() (string, error) { return f.listOffset("p", f.Late().UnixMilli()) }},
		{"offset_largest", of(f.admin.ListMaxTimestampOffsets)},
		{"offset_earliest_local", of(f.admin.ListLocalLogStartOffsets)},
		{"offset_latest_tiered", of(f.admin.ListLatestRemoteOffsets)},
		{"offset_pending_upload", func() (string, error) { return f.listOffset("p", -6) }},
		{"offset_unknown", func() (string, error) { return f.listOffset("x", -1) }},
		{"epoch_end", func() (string, error) {
			topics, err := f.admin.ListTopics(f.ctx, p)
			if err != nil {
				return "", err
			}
			epoch := topics[p].Partitions[1].LeaderEpoch
			request := kadm.OffsetForLeaderEpochRequest{}
			request.Add(p, 1, epoch)
			found, err := f.admin.OffsetForLeaderEpoch(f.ctx, request)
			answer := found[p][1]
			return fmt.Sprintf("%s %d", map[bool]string{true: "same", false: "other"}[answer.LeaderEpoch == epoch], answer.EndOffset), errors.Join(err, answer.Err)
		}},
	}
}

// listOffset asks for partition 1 in the request's own words: kadm takes a missing offset for the end.
func (f *franz) listOffset(name string, at int64) (string, error) {
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Partition, partition.Timestamp = 1, at
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: f.Topic(name), Partitions: []kmsg.ListOffsetsRequestTopicPartition{partition}}}
	response, err := request.RequestWith(f.ctx, f.client)
	if err != nil {
		return "", err
	}
	found := response.Topics[0].Partitions[0]
	return jobs.Number(found.Offset, kerr.ErrorForCode(found.ErrorCode))
}

func (f *franz) consumer(offsets map[int32]kgo.Offset, options ...kgo.Opt) (*kgo.Client, error) {
	assigned := map[string]map[int32]kgo.Offset{f.Topic("p"): offsets}
	return kgo.NewClient(append(options, kgo.SeedBrokers(f.Bootstrap), metadataAge, kgo.ConsumePartitions(assigned))...)
}

func (f *franz) consume(from kgo.Offset, wanted int, options ...kgo.Opt) (string, error) {
	client, err := f.consumer(map[int32]kgo.Offset{1: from}, options...)
	if err != nil {
		return "", err
	}
	defer client.Close()
	records, err := take(client, wanted, jobs.Timeout)
	var values []string
	for _, record := range records {
		values = append(values, string(record.Value))
	}
	return strings.Join(values, " "), err
}

// take gives records, until `wanted` are there or nothing comes.
func take(client *kgo.Client, wanted int, idle time.Duration) ([]*kgo.Record, error) {
	var records []*kgo.Record
	for len(records) < wanted {
		ctx, cancel := context.WithTimeout(context.Background(), idle)
		fetches := client.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		if fetches.NumRecords() == 0 {
			break
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func (f *franz) consuming() []jobs.Call {
	start := kgo.NewOffset().AtStart()
	return []jobs.Call{
		{"consume", func() (string, error) { return f.consume(start, 10) }},
		{"consume_seek", func() (string, error) {
			client, err := f.consumer(map[int32]kgo.Offset{1: start})
			if err != nil {
				return "", err
			}
			defer client.Close()
			if _, err := take(client, 1, jobs.Timeout); err != nil {
				return "", err
			}
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{f.Topic("p"): {1: {Epoch: -1, Offset: 5}}})
			records, err := take(client, 5, jobs.Timeout)
			var values []string
			for _, record := range records {
				values = append(values, string(record.Value))
			}
			return strings.Join(values, " "), err
		}},
		{"consume_time", func() (string, error) { return f.consume(kgo.NewOffset().AfterMilli(f.Base+3500), 6) }},
		{"consume_bounds", func() (string, error) {
			from, err := offset(f.admin.ListStartOffsets, f.ctx, f.Topic("p"), 1)
			to, err2 := offset(f.admin.ListEndOffsets, f.ctx, f.Topic("p"), 1)
			return from + " " + to, errors.Join(err, err2)
		}},
		{"consume_pause", f.pause},
		{"consume_out_of_range", func() (string, error) {
			return f.consume(kgo.NewOffset().At(1000), 1, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		}},
	}
}

func (f *franz) pause() (string, error) {
	start := kgo.NewOffset().AtStart()
	client, err := f.consumer(map[int32]kgo.Offset{0: start, 1: start})
	if err != nil {
		return "", err
	}
	defer client.Close()
	client.PauseFetchPartitions(map[string][]int32{f.Topic("p"): {1}})
	records, err := take(client, 10, 2*time.Second)
	if err != nil {
		return "", err
	}
	counts := map[int32]int{}
	for _, record := range records {
		counts[record.Partition]++
	}
	client.ResumeFetchPartitions(map[string][]int32{f.Topic("p"): {1}})
	resumed, err := take(client, 10, jobs.Timeout)
	return fmt.Sprintf("%d %d %d", counts[0], counts[1], len(resumed)), err
}

func (f *franz) end() []jobs.Call {
	p := f.Topic("p")
	deleteRecords := func(name string, at int64) func() (string, error) {
		return func() (string, error) {
			partition := kmsg.NewDeleteRecordsRequestTopicPartition()
			partition.Partition, partition.Offset = 1, at
			request := kmsg.NewPtrDeleteRecordsRequest()
			request.TimeoutMillis = 10_000
			request.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: f.Topic(name), Partitions: []kmsg.DeleteRecordsRequestTopicPartition{partition}}}
			response, err := request.RequestWith(f.ctx, f.client)
			if err != nil {
				return "", err
			}
			found := response.Topics[0].Partitions[0]
			return jobs.Number(found.LowWatermark, kerr.ErrorForCode(found.ErrorCode))
		}
	}
	remove := func(names ...string) func() (string, error) {
		return func() (string, error) {
			done, err := f.admin.DeleteTopics(f.ctx, f.Topics(names...)...)
			return jobs.OK(errors.Join(err, done.Error()))
		}
	}
	listed := func(names ...string) func() (string, error) {
		return func() (string, error) {
			found, err := f.admin.ListTopics(f.ctx)
			names := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !found.Has(f.Topic(name)) })
			return jobs.Join(names), err
		}
	}
	return []jobs.Call{
		{"delete_records", func() (string, error) {
			offsets := kadm.Offsets{}
			offsets.AddOffset(p, 1, 3, -1)
			done, err := f.admin.DeleteRecords(f.ctx, offsets)
			return jobs.Number(done[p][1].LowWatermark, errors.Join(err, done[p][1].Err))
		}},
		{"delete_records_done", func() (string, error) { return offset(f.admin.ListStartOffsets, f.ctx, p, 1) }},
		{"delete_records_beyond", deleteRecords("p", 1000)},
		{"delete_records_all", deleteRecords("p", -1)},
		{"delete_records_unknown", deleteRecords("x", 0)},
		{"log_dirs", func() (string, error) {
			found, err := f.admin.DescribeBrokerLogDirs(f.ctx, f.Node, nil)
			if err != nil || found.Error() != nil {
				return "", errors.Join(err, found.Error())
			}
			partitions := 0
			found.EachPartition(func(d kadm.DescribedLogDirPartition) {
				if d.Topic == p {
					partitions++
				}
			})
			if zero, ok := found.LookupPartition(p, 0); !ok || zero.Size == 0 {
				partitions = 0
			}
			return fmt.Sprintf("%d %d", len(found), partitions), nil
		}},
		{"groups", func() (string, error) {
			found, err := f.admin.ListGroups(f.ctx)
			return f.Mine(found.Groups()), err
		}},
		{"delete", remove("d")},
		{"delete_id", func() (string, error) {
			id, err := f.id("m")
			if err != nil {
				return "", err
			}
			topic := kmsg.NewDeleteTopicsRequestTopic()
			topic.TopicID = id
			request := kmsg.NewPtrDeleteTopicsRequest()
			request.TimeoutMillis, request.Topics = 10_000, []kmsg.DeleteTopicsRequestTopic{topic}
			response, err := request.RequestWith(f.ctx, f.client)
			if err != nil {
				return "", err
			}
			return jobs.OK(kerr.ErrorForCode(response.Topics[0].ErrorCode))
		}},
		{"delete_unknown", remove("x")},
		{"delete_done", listed("d", "t")},
		{"delete_id_done", listed("m", "p")},
		{"create_again", func() (string, error) {
			_, err := f.admin.CreateTopic(f.ctx, 1, 1, nil, f.Topic("d"))
			return jobs.OK(err)
		}},
		{"create_again_done", func() (string, error) { return offset(f.admin.ListEndOffsets, f.ctx, f.Topic("d"), 0) }},
		{"cleanup", remove("a", "d", "p", "r", "t")},
	}
}

func pointers(settings map[string]string) map[string]*string {
	result := map[string]*string{}
	for key, value := range settings {
		result[key] = &value
	}
	return result
}
