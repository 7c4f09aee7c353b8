//! What a real ZooKeeper answered to random requests, and what this answers: the same error, name, stat, data, list and
//! access list, request by request, with the same zxids.

use super::rig::{Rig, SETTINGS, WORLD};
use super::*;
use std::fmt::Write;

const TRANSCRIPT: &str = include_str!("testdata/zookeeper-3.8.4.txt");
const PASSWORD: &str = "me:pw";

/// Access lists by the names that they have in the transcript.
fn acls<'a>(name: &str, me: &'a str) -> Vec<Acl<'a>> {
    let acl = |perms, scheme, id| Acl { perms, id: Id { scheme, id } };
    let world = |perms| Acl { perms, id: WORLD };
    match name {
        "open" => vec![world(31)],
        "none" => vec![],
        "mine" => vec![acl(31, "digest", me)],
        "read" => vec![world(1)],
        "auth" => vec![acl(31, "auth", "")],
        "bad" => vec![acl(31, "world", "me")],
        "here" => vec![acl(31, "ip", "127.0.0.1")],
        "net" => vec![acl(3, "ip", "127.0.0.0/8"), acl(31, "digest", me)],
        "away" => vec![acl(31, "ip", "10.0.0.0/8")],
        "badip" => vec![acl(31, "ip", "10.0.0.0/40")],
        "baddigest" => vec![acl(31, "digest", "a:b:c")],
        "twice" => vec![world(31), world(31)],
        "sasl" => vec![acl(31, "sasl", "x")],
        "mixed" => vec![world(1), acl(16, "digest", me)],
        "nobody" => vec![world(0)],
        "noread" => vec![world(30)],
        _ => panic!("no such list: {name}"),
    }
}

/// Bytes as they stand in the transcript: null, or a quote and text with "%" and two digits for what is no letter.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix('\'')?.bytes();
    let mut out = Vec::new();
    while let Some(byte) = rest.next() {
        let digits =
            |rest: &mut std::str::Bytes<'_>| [rest.next(), rest.next()].map(|digit| char::from(digit.expect("digits")));
        out.push(match byte {
            b'%' => u8::from_str_radix(&digits(&mut rest).iter().collect::<String>(), 16).expect("digits"),
            _ => byte,
        });
    }
    Some(out)
}

fn text(escaped: &str) -> String {
    String::from_utf8(bytes(escaped).expect("a path")).expect("text")
}

fn escaped(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".into() };
    bytes.iter().fold("'".to_string(), |mut out, byte| {
        let is_plain = byte.is_ascii_graphic() && !b"%,".contains(byte);
        let _ = if is_plain { write!(out, "{}", char::from(*byte)) } else { write!(out, "%{byte:02x}") };
        out
    })
}

/// A change that stands in the transcript, with what it borrows.
struct Asked<'a> {
    words: Vec<&'a str>,
    path: String,
    data: Option<Vec<u8>>,
    acls: Vec<Acl<'a>>,
}

impl<'a> Asked<'a> {
    fn read(line: &'a str, me: &'a str) -> Asked<'a> {
        let words: Vec<&str> = line.split(' ').collect();
        let (list, path, data) = match words[0] {
            "create" => (Some(words[3]), words[4], Some(words[5])),
            "setacl" => (Some(words[2]), words[3], None),
            "set" => (None, words[2], Some(words[3])),
            _ => (None, words[2], None),
        };
        let acls = list.map_or(Vec::new(), |list| acls(list, me));
        Asked { path: text(path), data: data.and_then(bytes), acls, words }
    }

    fn change(&self) -> Change<'_> {
        let number = |n: usize| self.words[n].parse().expect("a number");
        let (path, data) = (&*self.path, self.data.as_deref());
        match self.words[0] {
            "create" => {
                let ttl = self.words[2].parse().ok();
                let (flags, is_container) = (number(1), self.words[1] == "4");
                Change::Create(Create { path, data, acls: &self.acls, flags, is_container, ttl })
            }
            "delete" => Change::Delete(path, number(1)),
            "set" => Change::SetData(path, data, number(1)),
            "setacl" => Change::SetAcl(path, &self.acls, number(1)),
            "check" => Change::Check(path, number(1)),
            other => panic!("no such request: {other}"),
        }
    }
}

/// The two sessions of the transcript.
struct Replay {
    rig: Rig,
    sessions: [i64; 2],
    identities: [Vec<Identity>; 2],
}

impl Replay {
    fn new() -> Replay {
        let here = Identity::of_address("127.0.0.1");
        let mut me = authenticate("digest", Some(PASSWORD.as_bytes()), "127.0.0.1", None).expect("a known scheme");
        me.insert(0, here.clone());
        let mut rig = Rig::with(SETTINGS);
        let sessions = [rig.session(), rig.session()];
        Replay { rig, sessions, identities: [vec![here], me] }
    }

    fn stat(&self, stat: &Stat) -> String {
        let owner = self.sessions.iter().position(|session| SessionId(*session) == stat.ephemeral_owner);
        let owner = owner.map_or("-".to_string(), |owner| owner.to_string());
        let Stat { czxid, mzxid, pzxid, version, cversion, aversion, data_length, num_children, .. } = stat;
        format!("{czxid} {mzxid} {pzxid} {version} {cversion} {aversion} {owner} {data_length} {num_children}")
    }

    /// What is answered for an operation that did something.
    fn outcome(&self, op: &Op, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Created(stat) => format!(" {} {}", escaped(Some(op.path().as_bytes())), self.stat(stat)),
            Outcome::DataSet(stat) | Outcome::AclSet(stat) => format!(" {}", self.stat(stat)),
            Outcome::Deleted | Outcome::Checked => String::new(),
            Outcome::Failed(error) => panic!("{op:?}: {error}"),
        }
    }

    /// Does what one or several changes ask for, as change `zxid`: the answer to each.
    fn write(&mut self, who: usize, zxid: i64, asked: &[Asked<'_>], is_multi: bool) -> Vec<String> {
        let identities = self.identities[who].clone();
        let ids: Vec<Id<'_>> = identities.iter().map(Identity::as_id).collect();
        let asker = Asker { ids: &ids, ..Rig::asker(self.sessions[who]) };
        self.rig.zxid = zxid - 1;
        let index = if is_multi {
            let changes: Vec<Change<'_>> = asked.iter().map(Asked::change).collect();
            self.rig.ask_multi(&asker, &changes)
        } else {
            self.rig.ask(&asker, asked[0].change()).map_err(|error| Refused { error, at: 0 })
        };
        match index {
            Err(refused) => {
                let code = |n| refused.of(n).map_or(0, TreeError::code).to_string();
                (0..asked.len()).map(code).collect()
            }
            Ok(index) => {
                let outcomes = self.rig.apply(index);
                let ops = self.rig.log.last().expect("just appended").ops();
                ops.iter().zip(&outcomes).map(|(op, outcome)| format!("0{}", self.outcome(op, outcome))).collect()
            }
        }
    }

    /// The answer to a request that changes nothing, without its zxid.
    fn read(&self, who: usize, words: &[&str]) -> Result<String, TreeError> {
        let ids: Vec<Id<'_>> = self.identities[who].iter().map(Identity::as_id).collect();
        let tree = &self.rig.tree;
        let path = words.get(1).map_or("/".to_string(), |path| text(path));
        Ok(match words[0] {
            "exists" => self.stat(&tree.exists(&path, &ids)?),
            "get" => {
                let (data, stat) = tree.data(&path, &ids)?;
                format!("{} {}", escaped(data), self.stat(&stat))
            }
            "children" => {
                let (names, stat) = tree.children(&path, &ids)?;
                let mut names: Vec<&str> = names.collect();
                names.sort_unstable();
                let names: Vec<String> = names.iter().map(|name| escaped(Some(name.as_bytes()))).collect();
                let names = if names.is_empty() { ".".to_string() } else { names.join(",") };
                format!("{names} {}", self.stat(&stat))
            }
            "getacl" => {
                let (list, stat) = tree.acl(&path, &ids)?;
                let entry = |acl: Acl<'_>| format!("{}:{}:{}", acl.perms, acl.id.scheme, acl.id.id);
                format!("{} {}", list.iter().map(entry).collect::<Vec<_>>().join(","), self.stat(&stat))
            }
            "count" => tree.count_some(&path, &ids, None, usize::MAX)?.0.to_string(),
            other => panic!("no such request: {other}"),
        })
    }

    /// The first session ends, and another takes its place.
    fn close(&mut self, zxid: i64) {
        self.rig.zxid = zxid - 1;
        let body = self.rig.tree.prepare_close(SessionId(self.sessions[0]), usize::MAX).expect("it is there");
        self.rig.append(self.sessions[0], body);
        self.rig.apply_all();
        self.sessions[0] = self.rig.session();
    }
}

#[test]
fn every_answer_is_the_one_that_zookeeper_gave() {
    let mut replay = Replay::new();
    let me = replay.identities[1][1].id.clone();
    let mut lines = TRANSCRIPT.lines().filter(|line| !line.starts_with('#'));
    let (mut answers, mut wrong) = (0, Vec::new());
    while let Some(line) = lines.next() {
        let (request, answer) = line.split_once(" => ").expect("a request and its answer");
        let (who, request) = request.split_once(' ').expect("a session and its request");
        let who: usize = who.parse().expect("a session");
        let words: Vec<&str> = request.split(' ').collect();
        let mut parts = answer.splitn(3, ' ');
        let (code, zxid) = (parts.next().expect("a code"), parts.next().expect("a zxid"));
        let rest = parts.next().map_or(String::new(), |rest| format!(" {rest}"));
        let zxid: i64 = zxid.parse().expect("a zxid");
        let expected = format!("{code}{rest}");
        answers += 1;
        match words[0] {
            "close" => replay.close(zxid),
            "multi" => {
                let count: usize = words[1].parse().expect("a number");
                let of: Vec<&str> = lines.by_ref().take(count).collect();
                let of: Vec<(&str, &str)> =
                    of.iter().map(|line| line[4..].split_once(" => ").expect("an answer")).collect();
                let asked: Vec<Asked<'_>> = of.iter().map(|(request, _)| Asked::read(request, &me)).collect();
                let given = replay.write(who, zxid, &asked, true);
                let expected: Vec<&str> = of.iter().map(|(_, answer)| *answer).collect();
                if given != expected {
                    wrong.push(format!("{of:?}: {given:?}"));
                }
            }
            "create" | "delete" | "set" | "setacl" => {
                let given = replay.write(who, zxid, &[Asked::read(request, &me)], false);
                if given != [expected] {
                    wrong.push(format!("{line}: {given:?}"));
                }
            }
            _ => {
                let given = match replay.read(who, &words) {
                    Ok(given) => format!("0 {given}"),
                    Err(error) => error.code().to_string(),
                };
                if given != expected {
                    wrong.push(format!("{line}: {given}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {answers} answers:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(answers > 1_000, "{answers}");
    assert_eq!(replay.rig.tree.digest(), replay.rig.replay().digest());
}
