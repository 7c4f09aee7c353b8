//! `torc znode` as a process, against a small ZooKeeper in memory.

mod load;
#[path = "../support/zookeeper.rs"]
mod zookeeper;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use zookeeper::Fake;

fn command(fake: &Fake, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
    command.args(["znode", "--server", &fake.servers()]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output and error.
fn run(fake: &Fake, args: &[&str]) -> (Option<i32>, String, String) {
    let output = command(fake, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn done(fake: &Fake, args: &[&str]) -> String {
    let (code, out, err) = run(fake, args);
    assert_eq!(code, Some(0), "{args:?}: {err}");
    out
}

fn told(fake: &Fake, args: &[&str]) -> Value {
    serde_json::from_str(&done(fake, &[args, &["--format", "json"]].concat())).unwrap()
}

fn refused(fake: &Fake, expected: i32, args: &[&str]) -> String {
    let (code, _, err) = run(fake, args);
    assert_eq!(code, Some(expected), "{args:?}: {err}");
    err
}

/// What `torc znode shell` answers to these lines.
fn shell(fake: &Fake, lines: &str) -> (Option<i32>, String, String) {
    let mut child = command(fake, &["shell"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn znodes_are_made_shown_changed_and_deleted() {
    let fake = Fake::start();
    assert_eq!(done(&fake, &["create", "-p", "/app/config", "one"]), "/app/config\n");
    assert_eq!(done(&fake, &["create", "-s", "/app/n-"]), "/app/n-0000000001\n");
    assert_eq!(told(&fake, &["create", "-s", "/app/"]), json!({ "created": "/app/0000000002" }));
    done(&fake, &["create", "-c", "/app/container"]);
    done(&fake, &["create", "-t", "10s", "/app/timed", "00ff", "--hex"]);
    assert_eq!(done(&fake, &["get", "/app/config"]), "one", "its bytes and nothing else");
    assert_eq!(told(&fake, &["get", "/app/timed"])["data_hex"], json!("00ff"));
    assert_eq!((fake.owner("/app/timed"), fake.owner("/app/container")), ((0xff << 56) | 10_000, i64::MIN));
    assert_eq!(told(&fake, &["stat", "/app/timed"])["kind"], json!("persistent"), "its server says nothing else");
    assert_eq!(told(&fake, &["ls"]), json!(["app", "zookeeper"]));
    let long = done(&fake, &["ls", "-l", "/app/"]);
    assert!(
        long.starts_with("ZNODE") && long.lines().any(|line| line.starts_with("timed") && line.contains("persistent")),
        "{long}"
    );
    assert_eq!(told(&fake, &["ls", "-R", "/app"]).as_array().unwrap().len(), 5);
    let tree = done(&fake, &["tree", "/app"]);
    assert!(tree.contains("├─ config  (3 B)\n") && tree.contains("└─ timed  (2 B)\n"), "{tree}");
    assert!(tree.ends_with("5 znodes below /app\n"), "{tree}");
    let nested = told(&fake, &["tree", "/"]);
    assert_eq!(nested["children"][0]["children"][1]["path"], json!("/app/config"));
    assert_eq!(told(&fake, &["set", "/app/config", "two", "--version", "0"])["version"], json!(1));
    let stale = refused(&fake, 1, &["set", "/app/config", "three", "--version", "0"]);
    assert_eq!(stale, "torc: cannot write /app/config: BadVersion: it has another version by now\n");
    let full = refused(&fake, 1, &["delete", "/app"]);
    assert!(full.contains("NotEmpty: it has children; torc znode deleteall deletes them too"), "{full}");
    assert_eq!(
        told(&fake, &["delete", "/app/timed", "/app/container"])["deleted"],
        json!(["/app/timed", "/app/container"])
    );
    assert!(refused(&fake, 2, &["deleteall", "/app"]).contains("--yes"), "nobody can be asked");
    assert_eq!(told(&fake, &["deleteall", "/app", "--dry-run"])["dry_run"], json!(true));
    assert_eq!(fake.data("/app/config").as_deref(), Some(&b"two"[..]));
    assert_eq!(done(&fake, &["deleteall", "/app", "--yes"]), "4 znodes deleted\n");
    assert_eq!(told(&fake, &["ls"]), json!(["zookeeper"]));
}

#[test]
fn data_come_from_files_and_pipes_too() {
    let fake = Fake::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    std::fs::write(&file, b"\0file").unwrap();
    done(&fake, &["create", "/a", "--file", file.to_str().unwrap()]);
    assert_eq!(fake.data("/a").as_deref(), Some(&b"\0file"[..]));
    let mut child = command(&fake, &["set", "/a", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"pipe").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(fake.data("/a").as_deref(), Some(&b"pipe"[..]));
    assert!(refused(&fake, 2, &["set", "/a"]).contains("say what is to be written"));
    assert!(refused(&fake, 2, &["set", "/a", "xyz", "--hex"]).contains("hex digit"));
}

#[test]
fn access_lists_are_shown_and_set() {
    let fake = Fake::start();
    done(&fake, &["create", "-p", "/a/b", "--acl", "world:anyone:r,ip:127.0.0.1:cdrwa"]);
    assert_eq!(told(&fake, &["acl", "/a/b"])["text"], json!("world:anyone:r,ip:127.0.0.1:cdrwa"));
    assert!(done(&fake, &["acl", "/a"]).starts_with("SCHEME"));
    assert_eq!(told(&fake, &["acl", "-R", "/a", "auth::cdrwa"])["changed"], json!(2));
    assert_eq!(fake.acls("/a/b")[0].scheme, "auth");
    assert!(refused(&fake, 2, &["acl", "/a", "world:anyone:z"]).contains("none of c(reate)"));
}

#[test]
fn what_is_wrong_is_said_and_has_its_exit_code() {
    let fake = Fake::start();
    assert!(refused(&fake, 2, &["get", "a"]).contains("did you mean /a?"));
    assert!(refused(&fake, 2, &["get", "/a//b"]).contains("which no znode can have"));
    assert!(refused(&fake, 2, &["create", "/"]).contains("the root is always there"));
    assert!(refused(&fake, 2, &["create", "/a", "-e", "-c"]).contains("cannot be used with"));
    assert_eq!(refused(&fake, 1, &["get", "/a"]), "torc: cannot read /a: NoNode: there is no such znode\n");
    assert!(refused(&fake, 1, &["--auth", "digest:wrong", "ls"]).contains("AuthFailed"));
    let nobody =
        Command::new(env!("CARGO_BIN_EXE_torc")).args(["znode", "--server", "127.0.0.1:1", "ls"]).output().unwrap();
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(nobody.status.code() == Some(1) && said.contains("no ZooKeeper serves at 127.0.0.1:1"), "{said}");
}

#[test]
fn the_shell_does_line_by_line_in_one_session() {
    let fake = Fake::start();
    let lines = "# a comment\n\ncreate /a \"two words\"\nget /a\ncreate -e /mine\nwatch /a\nset /a x\nsession\nls\n";
    let (code, out, err) = shell(&fake, lines);
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..4], ["/a", "two words", "/mine", "/a has version 1"]);
    assert!(lines.iter().any(|line| line.ends_with("changed   /a")), "{out}");
    assert!(lines.iter().any(|line| line.starts_with("session 0x1, ")), "{out}");
    assert_eq!(lines[lines.len() - 3..], ["a", "mine", "zookeeper"]);
    assert_eq!(fake.data("/mine"), None, "its session has ended");
    let (code, out, err) = shell(&fake, "get /none\nls\n");
    assert!((code, out.as_str()) == (Some(1), "") && err.starts_with("torc: line 1: cannot read /none"), "{err}");
    let (code, _, err) = shell(&fake, "ls\nbogus\n");
    assert!(code == Some(2) && err.contains("line 2: unrecognized subcommand 'bogus'"), "{err}");
}

/// The child and its first line.
fn started(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    (child, out, line)
}

#[test]
fn an_ephemeral_znode_lasts_until_its_command_is_ended() {
    let fake = Fake::start();
    let (mut child, _out, line) = started(command(&fake, &["create", "-e", "/mine", "x"]));
    assert_eq!(line, "/mine\n");
    assert!(fake.owner("/mine") > 0);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fake.data("/mine"), None);
}

#[test]
fn events_are_printed_as_they_come() {
    let fake = Fake::start();
    let mut watching = command(&fake, &["watch", "-R", "/", "-n", "3", "--format", "json"]);
    let child = watching.spawn().unwrap();
    // It watches when the server says so.
    while !fake.state.lock().unwrap().asked.iter().any(|asked| asked == "AddWatch") {
        std::thread::yield_now();
    }
    done(&fake, &["create", "/a"]);
    done(&fake, &["set", "/a", "x"]);
    done(&fake, &["delete", "/a"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let named: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(named, [&json!("created"), &json!("changed"), &json!("deleted")]);
    assert!(events.iter().all(|event| event["path"] == json!("/a")));
}

fn golden() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/zookeeper-3.8.4").to_string_lossy().into_owned()
}

#[test]
fn a_real_zookeepers_directory_is_imported() {
    let fake = Fake::start();
    let tried = told(&fake, &["import", &golden(), "--dry-run"]);
    assert_eq!((&tried["znodes"], &tried["dry_run"]), (&json!(14), &json!(true)));
    assert_eq!(told(&fake, &["ls"]), json!(["zookeeper"]));
    let made = told(&fake, &["import", &golden()]);
    assert_eq!((&made["znodes"], &made["counters_left"]), (&json!(14), &json!([])));
    assert_eq!(fake.data("/app/a/b").as_deref(), Some(&b"three"[..]));
    assert_eq!(fake.acls("/app/secret")[0].scheme, "digest", "it gets its list when all below it is made");
    assert_eq!(fake.acls("/app/later").len(), 2);
    assert_eq!(fake.owner("/app/container"), i64::MIN);
    assert_eq!(done(&fake, &["create", "-s", "/app/seq/n-"]), "/app/seq/n-0000000004\n", "as if it had made them all");
    assert!(!fake.paths().iter().any(|path| path.contains("torc-import")));
    let there = refused(&fake, 1, &["import", &golden()]);
    assert!(there.contains("/app is there already, and so are 13 others: nothing was changed"), "{there}");
    done(&fake, &["set", "/app/a/b", "changed"]);
    assert_eq!(told(&fake, &["import", &golden(), "--replace"])["replaced"], json!(14));
    assert_eq!(fake.data("/app/a/b").as_deref(), Some(&b"three"[..]));
    assert!(refused(&fake, 1, &["import", "/nowhere"]).contains("cannot read /nowhere"));
}

#[test]
fn what_was_exported_can_be_imported() {
    let fake = Fake::start();
    done(&fake, &["import", &golden()]);
    done(&fake, &["set", "/app/a/b", "x"]);
    // Nobody made these: the server shows something there.
    for path in ["/shown", "/shown/below"] {
        fake.show(path);
    }
    let dir = tempfile::tempdir().unwrap();
    let exported = told(&fake, &["export", dir.path().to_str().unwrap()]);
    assert_eq!(exported["znodes"], json!(18));
    assert_eq!((&exported["shown_left_out"], &exported["ephemeral_left_out"]), (&json!(2), &json!(0)));
    assert!(refused(&fake, 1, &["export", dir.path().to_str().unwrap()]).contains("already"));
    let other = Fake::start();
    assert_eq!(told(&other, &["import", dir.path().to_str().unwrap()])["znodes"], json!(14));
    for path in fake.paths().iter().filter(|path| path.starts_with("/app")) {
        assert_eq!(other.data(path), fake.data(path), "{path}");
        assert_eq!(other.acls(path), fake.acls(path), "{path}");
        assert_eq!((other.owner(path), other.made(path)), (0, fake.made(path)), "{path}: nobody is told how it ends");
    }
}
