//! `torc produce` and `torc consume`, as pipes and people use them.

mod endings;
mod groups;
#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Child, Output, Stdio};
use support::{Server, torc};

/// A server, and the two commands against it.
struct Pipes {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Pipes {
    fn start() -> Pipes {
        Pipes::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Pipes {
        let dir = tempfile::tempdir().unwrap();
        Pipes { server: Server::start(dir.path(), &[&["--shards", "1"], more].concat()), _dir: dir }
    }

    fn kafka(&self) -> &str {
        self.server.said("kafka")
    }

    fn topic(&self, name: &str, more: &str) {
        let mut command = torc(&["topic", "create", name, "--bootstrap-server", self.kafka()]);
        let output = command.args(more.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Starts `torc produce` or `torc consume` with the words of `line`.
    fn spawn(&self, line: &str) -> Child {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        torc(&words).args(["--bootstrap-server", self.kafka()]).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end, with `input`.
    fn run(&self, line: &str, input: &[u8]) -> Output {
        let mut child = self.spawn(line);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // It may end before it has read all.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Runs what must succeed; what it printed.
    fn good(&self, line: &str, input: &[u8]) -> Vec<u8> {
        let output = self.run(line, input);
        assert!(output.status.success() && output.stderr.is_empty(), "{line}: {}", said(&output));
        output.stdout
    }

    fn text(&self, line: &str) -> String {
        String::from_utf8(self.good(line, b"")).unwrap()
    }

    /// Runs what must end with `code`; what it says.
    fn bad(&self, code: i32, line: &str, input: &[u8]) -> String {
        let output = self.run(line, input);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", said(&output));
        said(&output)
    }

    /// All records of a topic in JSON, by partition and offset.
    fn records(&self, topic: &str) -> Vec<Value> {
        let text = self.text(&format!("consume {topic} -e --format json"));
        let mut records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        records.sort_by_key(|record| (record["partition"].as_i64(), record["offset"].as_i64()));
        records
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Values with all that could break a line, or a text.
const AWKWARD: [&[u8]; 6] =
    [b"", b"plain", b"two\nlines\r\n", b"\xff\xfe\0\x80", "\u{fc}\u{1f600}\"\\".as_bytes(), b"a\tb"];

#[test]
fn every_format_gives_back_what_was_written_through_every_codec() {
    let pipes = Pipes::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        pipes.topic(&format!("a-{codec}"), "");
        pipes.topic(&format!("b-{codec}"), "");
        // What each format can say of them, as its own lines.
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines = AWKWARD.iter().map(|value| format!("{}\t{}\n{}\n", hex(value), hex(value), hex(value)));
        let lines = lines.collect::<String>() + "6b\t-\n";
        pipes.good(&format!("produce a-{codec} --format hex -z {codec} -H h=1 -H h="), lines.as_bytes());
        assert_eq!(pipes.text(&format!("consume a-{codec} -e --format hex")), lines, "{codec}");
        // JSON has everything, so that a copy differs in nothing but its topic.
        let json = pipes.good(&format!("consume a-{codec} -e --format json"), b"");
        pipes.good(&format!("produce b-{codec} --format json -z {codec}"), &json);
        let copy = pipes.text(&format!("consume b-{codec} -e --format json"));
        assert_eq!(copy.replace("\"b-", "\"a-"), String::from_utf8(json).unwrap());
        let record = &pipes.records(&format!("a-{codec}"))[6];
        assert_eq!((&record["key_hex"], &record["value_hex"]), (&"fffe0080".into(), &"fffe0080".into()));
        let headers = serde_json::json!([{ "key": "h", "value": "1" }, { "key": "h", "value": "" }]);
        assert_eq!(record["headers"], headers);
    }
}

#[test]
fn delimiters_keep_bytes_apart_and_whole_files_are_records() {
    let pipes = Pipes::start();
    pipes.topic("lines", "");
    pipes.good("produce lines", b"one\n\nthree, without an end");
    assert_eq!(pipes.text("consume lines -e"), "one\n\nthree, without an end\n");

    pipes.topic("zero", "");
    let zero = AWKWARD[..3].join(&0);
    pipes.good(r"produce zero -D \0", &[&zero[..], b"\0"].concat());
    assert_eq!(pipes.good(r"consume zero -e -D \0", b""), [&zero[..], b"\0"].concat());

    pipes.topic("pairs", "");
    pipes.good("produce pairs -f key-value -K :: -D ;\\n --null NULL", b"a::b::c;\nNULL::d;\n::NULL;\n");
    let pairs = "consume pairs -e -f key-value -K = --null -";
    assert_eq!(pipes.text(pairs), "a=b::c\n-=d\n=-\n");
    let template = pipes.text(r"consume pairs -e --template [%t|%p|%o|%k|%v|%K|%V|%h|%%]\x21\n --null ~");
    assert_eq!(template, "[pairs|0|0|a|b::c|1|4||%]!\n[pairs|0|1|~|d|-1|1||%]!\n[pairs|0|2||~|0|-1||%]!\n");
    let why = pipes.bad(1, "produce pairs -f key-value", b"k\tv\nnone\nk\tv\n");
    assert!(why.contains("line 2: it has no key delimiter") && why.contains("1 record sent"), "{why}");

    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..AWKWARD.len()).map(|n| dir.path().join(n.to_string()).display().to_string()).collect();
    AWKWARD.iter().zip(&paths).for_each(|(value, path)| std::fs::write(path, value).unwrap());
    pipes.topic("files", "");
    pipes.good(&format!("produce files --whole -k name {}", paths.join(" ")), b"");
    pipes.good("produce files --whole -", AWKWARD[2]);
    let all: Vec<Value> = pipes.records("files");
    assert_eq!((all.len(), &all[2]["value"], &all[6]["value"]), (7, &all[6]["value"], &"two\nlines\r\n".into()));
    assert_eq!((&all[0]["key"], &all[6]["key"]), (&"name".into(), &Value::Null));
    let folder = pipes.bad(1, "produce files /", b"");
    assert!(folder.contains("torc: /: cannot read: "), "{folder}");
    let missing = pipes.bad(1, &format!("produce files {} nowhere", paths[1]), b"");
    assert!(missing.contains("cannot open nowhere") && missing.contains("1 record sent"), "{missing}");
}

#[test]
fn records_go_where_they_belong() {
    let pipes = Pipes::start();
    pipes.topic("keyed", "--partitions 7");
    let vectors = ["21", "foobar", "a-little-bit-long-string", "a-little-bit-longer-string", "abc"];
    // murmur2 of the Java client, made positive.
    let hashes = [-973_932_308_i32, -790_332_482, -985_981_536, -1_486_304_829, 479_470_107];
    let lines: String = vectors.iter().map(|key| format!("{key}\tv\n")).collect();
    pipes.good("produce keyed -f kv", lines.as_bytes());
    for record in pipes.records("keyed") {
        let at = vectors.iter().position(|key| record["key"] == *key).unwrap();
        assert_eq!(record["partition"], (hashes[at] & i32::MAX) % 7, "{record}");
    }
    pipes.topic("there", "--partitions 3");
    pipes.good("produce there -p 2 --acks 1", b"x\n");
    pipes.good("produce there -p 0 --acks 0", b"y\n");
    // Taken from the connection is not in the log yet.
    endings::await_records(&pipes, "there", 2);
    assert_eq!(pipes.text("consume there -p 2,0 -e --template %p%v, "), "0y,2x,");
    let why = pipes.bad(1, "produce there -p 3", b"x\n");
    assert!(why.contains("topic there has no partition 3, it has 3"), "{why}");
    assert!(pipes.bad(1, "consume there -p 3 -e", b"").contains("no partition 3"));
    let kept = br#"{"value":"a","partition":1}"#;
    pipes.good("produce there --format json --keep-partitions", kept);
    assert_eq!(pipes.text("consume there -p 1 -e"), "a\n");
    let why = pipes.bad(1, "produce there --format json --keep-partitions", br#"{"value":"a","partition":9}"#);
    assert!(why.contains("line 1: topic there has no partition 9"), "{why}");
    // Without keys one batch goes to one partition.
    pipes.topic("any", "--partitions 5");
    pipes.good("produce any", b"1\n2\n3\n4\n");
    let partitions: Vec<Value> = pipes.records("any").iter().map(|record| record["partition"].clone()).collect();
    assert_eq!(partitions, vec![partitions[0].clone(); 4]);
}

#[test]
fn reading_begins_and_ends_where_it_is_told_to() {
    let pipes = Pipes::start();
    pipes.topic("empty", "--partitions 2");
    for line in ["-e", "-n 0", "--last 3 -e", "--from end -e", "--from -1h -e"] {
        assert_eq!(pipes.text(&format!("consume empty {line}")), "", "{line}");
    }
    pipes.topic("t", "--partitions 2");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let line =
        |n: i64| format!("{{\"value\":\"{n}\",\"partition\":{},\"timestamp\":{}}}\n", n % 2, now - (10 - n) * 60_000);
    // One batch of each partition: offsets and times inside of it count too.
    pipes.good("produce t --format json --keep-partitions -z zstd", (0..10).map(line).collect::<String>().as_bytes());
    let read = |how: &str| {
        let text = pipes.text(&format!("consume t {how} --template %v"));
        let mut digits: Vec<char> = text.chars().collect();
        digits.sort_unstable();
        digits.into_iter().collect::<String>()
    };
    assert_eq!(read("-e"), "0123456789");
    assert_eq!(read("-e -p 1"), "13579");
    assert_eq!(read("-e --from start -n 4").len(), 4);
    assert_eq!(read("-e --from 3"), "6789");
    assert_eq!(read("-e --from end"), "");
    assert_eq!(read("-e --from -150s"), "89");
    assert_eq!(read(&format!("-e --from @{}", now - 5 * 60_000)), "56789");
    assert_eq!(pipes.text("consume t -e --last 3 --template %v"), "789");
    assert_eq!(pipes.text("consume t --last 4 -n 2 --template %v"), "67");
    assert_eq!(pipes.text("consume t -e --last 100 --template %v"), "0123456789");
    // What comes later is read too, also of partitions that are new.
    let mut follower = pipes.spawn("consume t -n 12");
    follower.stdout.as_mut().unwrap().read_exact(&mut [0; 20]).unwrap();
    let mut alter = torc(&["topic", "alter", "t", "--partitions", "3", "--bootstrap-server", pipes.kafka()]);
    assert!(alter.status().unwrap().success());
    pipes.good("produce t -p 2", b"new\n");
    pipes.good("produce t -p 2", b"newer\n");
    assert_eq!(follower.wait_with_output().unwrap().stdout, b"new\nnewer\n");
    let output = pipes.run("consume t -e --from 4 -p 0", b"");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"8\n"[..]));
    let output = pipes.run("consume t -e --from 40 -p 0", b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert!(said(&output).contains("partition 0 ends at offset 5, not at 40"), "{}", said(&output));
    for wrong in ["--from -5", "--from yesterday", "--last 3 --from 2", "--template %q", "-n x", "-p -1"] {
        pipes.bad(2, &format!("consume t {wrong}"), b"");
    }
}
