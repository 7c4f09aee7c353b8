use super::*;
use crate::groups::{LendingWord, LentHead, TreeWord};
use crate::mail::{CatalogChange, FetchPart, ReadFrom};
use crate::peers::known;
use std::collections::BTreeSet;
use torc_base::ids::{ConnId, Offset, Term};
use torc_base::limits::{ENTRY_BYTES_ANYWHERE, ENTRY_BYTES_MAX};
use torc_base::prng::Prng;
use torc_base::time::Wall;
use torc_consensus::Mark;
use torc_state::catalog::{GroupRanges, Life, Replicas};

/// Random mail of the kinds that travel.
struct Writer(Prng);

impl Writer {
    fn text(&mut self) -> String {
        const WORDS: [&str; 5] = ["", "t", "cleanup.policy", "a.topic-with_all", "größer"];
        WORDS[self.0.below(5) as usize].into()
    }

    fn i32(&mut self) -> i32 {
        [-1, 0, 1, i32::MIN, i32::MAX][self.0.below(5) as usize]
    }

    fn i16(&mut self) -> i16 {
        [-1, 0, 3, i16::MIN, i16::MAX][self.0.below(5) as usize]
    }

    fn flag(&mut self) -> bool {
        self.0.chance(1, 2)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Writer) -> T) -> Vec<T> {
        (0..self.0.below(4)).map(|_| item(self)).collect()
    }

    fn maybe<T>(&mut self, item: impl FnOnce(&mut Writer) -> T) -> Option<T> {
        self.flag().then(|| item(self))
    }

    fn ids(&mut self) -> Vec<i32> {
        self.list(Writer::i32)
    }

    fn config(&mut self) -> Overrides {
        self.list(|w| (w.text(), w.text())).into_iter().collect()
    }

    fn new_topic(&mut self) -> NewTopic {
        NewTopic {
            name: self.text(),
            partitions: self.i32(),
            replication: self.i16(),
            assignments: self.list(|w| (w.i32(), w.ids())),
            config: self.config(),
            refused: self.maybe(|w| (w.i16(), w.text())),
        }
    }

    fn alter(&mut self) -> (String, Alter) {
        let alter = match self.0.below(4) {
            0 => Alter::Delete,
            1 => Alter::Set(self.text()),
            2 => Alter::Append(self.text()),
            _ => Alter::Subtract(self.text()),
        };
        (self.text(), alter)
    }

    fn admin(&mut self) -> Admin {
        match self.0.below(6) {
            5 => Admin::Reassign {
                topics: self
                    .list(|w| Reassign { topic: w.text(), partitions: w.list(|w| (w.i32(), w.maybe(Writer::ids))) }),
                factor: self.flag(),
            },
            0 => Admin::Create { topics: self.list(Writer::new_topic), validate_only: self.flag() },
            1 => {
                let (name, partitions) = ("__consumer_offsets".into(), self.0.next_u64() as u32);
                Admin::CreateInternal { name, partitions, replication: self.i16() }
            }
            2 => Admin::Delete(self.list(|w| match w.flag() {
                true => TopicRef::Name(w.text()),
                false => TopicRef::Id(TopicId(w.0.next_u64().into())),
            })),
            3 => Admin::AddPartitions {
                topics: self.list(|w| MorePartitions {
                    name: w.text(),
                    total: w.i32(),
                    assignments: w.maybe(|w| w.list(Writer::ids)),
                }),
                validate_only: self.flag(),
            },
            _ => Admin::Configs {
                resources: self.list(|w| {
                    let resource = match w.0.below(3) {
                        0 => Resource::Topic(w.text()),
                        1 => Resource::Group(w.text()),
                        _ => Resource::Node(NodeId(w.0.next_u64() as u32)),
                    };
                    let change = match w.flag() {
                        true => ConfigChange::Replace(w.config()),
                        false => ConfigChange::Alter(w.list(Writer::alter)),
                    };
                    (resource, change)
                }),
                validate_only: self.flag(),
            },
        }
    }

    fn result(&mut self) -> AdminResult {
        let row = [NodeId(1), NodeId(2)];
        let topic = self.maybe(|w| {
            let config = [("retention.ms".to_string(), "5".to_string())].into();
            Arc::new(Topic {
                name: "t".into(),
                id: TopicId(w.0.next_u64().into()),
                partitions: GroupRanges::new(GroupId(2_000), 7),
                replication: 2,
                moves: Default::default(),
                replicas: if w.flag() { Replicas::new([&row[..]; 7]) } else { Replicas::default() },
                created: Wall(8),
                config: TopicConfig::resolve(&TopicConfig::default(), &config).expect("a good setting"),
                overrides: config,
            })
        });
        AdminResult { error: self.i16(), message: self.maybe(Writer::text), topic }
    }

    fn node(&mut self) -> Node {
        let shards = self.0.between(1, 256) as u16;
        let lives = if self.flag() { shards } else { 0 };
        let mut life = || Life { number: self.0.next_u64(), since: GroupId(self.0.next_u64()) };
        let lives = (0..lives).map(|_| life()).collect();
        Node {
            id: NodeId(self.0.next_u64() as u32),
            start: self.0.next_u64(),
            rack: self.maybe(Writer::text),
            listeners: self.list(|w| (w.text(), w.0.next_u64() as u16)),
            shards,
            lives,
            entry_bytes_max: self.0.between(ENTRY_BYTES_ANYWHERE as u64, ENTRY_BYTES_MAX as u64) as usize,
        }
    }

    fn led(&mut self) -> Led {
        Led {
            group: GroupId(self.0.next_u64()),
            node: NodeId(self.0.next_u64() as u32),
            epoch: self.maybe(|w| LeaderEpoch(w.0.below(1 << 31) as i32)),
            behind: self.list(|w| NodeId(w.0.below(9) as u32)),
        }
    }

    fn mail(&mut self) -> Mail {
        let token = Token::forwarded(self.0.below(1 << 40));
        match self.0.below(17) {
            8 => Mail::Room,
            9 => Mail::Tree(Box::default()),
            10 => {
                let admission = Admission { disk: self.0.between(1, 1 << 40).into(), address: "10.0.0.1:9192".into() };
                Mail::Ask { token, ask: Ask::Admit(NodeId(self.0.below(9) as u32), admission) }
            }
            11 => {
                let arrived = self.list(|w| Arrival {
                    group: GroupId(w.0.next_u64()),
                    number: Index(w.0.next_u64()),
                    members: Index(w.0.next_u64()),
                });
                Mail::Ask { token, ask: Ask::Arrived(arrived) }
            }
            12 => Mail::Ask { token, ask: Ask::Elect(self.list(|w| (w.0.next_u64() as u32, GroupId(1), NodeId(2)))) },
            13 => Mail::Ask { token, ask: Ask::Quorums(self.list(|w| (w.0.next_u64() as u32, GroupId(1)))) },
            14 => {
                let parts = self.list(|w| (w.0.next_u64() as u32, HAND_OVERS[w.0.below(4) as usize]));
                Mail::Answer { token, answer: Answer::Elected(parts) }
            }
            15 => Mail::Answer { token, answer: Answer::Quorums(self.list(|w| (w.0.next_u64() as u32, None))) },
            0 => Mail::Ask { token, ask: Ask::ProducerId },
            1 => Mail::Ask { token, ask: Ask::Admin(self.admin()) },
            2 => Mail::Ask { token, ask: Ask::Register(Box::new(self.node())) },
            3 => {
                let result = if self.flag() { Ok(ProducerId(self.0.below(1 << 60) as i64)) } else { Err(41) };
                Mail::Answer { token, answer: Answer::ProducerId(result) }
            }
            4 => {
                let (index, results) = (Index(self.0.next_u64()), self.list(Writer::result));
                Mail::Answer { token, answer: Answer::Committed { index, results } }
            }
            5 => Mail::Digests(self.list(|w| {
                let (group, last) = (GroupId(w.0.next_u64()), Index(w.0.between(1, 1 << 40) * DIGEST_RANGE));
                Digest { group, last, digest: w.0.next_u64() }
            })),
            6 => Mail::TreeStart(Box::new(TreeTold {
                term: Term(self.0.below(1 << 31)),
                transfer: self.0.next_u64(),
                word: self.tree_word(),
            })),
            7 => Mail::Lending(Box::new(self.lending())),
            _ => Mail::Leaders(self.list(Writer::led)),
        }
    }

    fn lending(&mut self) -> Lending {
        let (term, index) = (Term(self.0.below(1 << 31)), Index(self.0.between(1, 1 << 40)));
        let word = match self.0.below(4) {
            0 => LendingWord::Wanted { at: self.0.below(1 << 20) },
            1 => LendingWord::Lacked,
            2 => LendingWord::Gone,
            _ => {
                let (at, bytes) = (self.0.below(1 << 10), self.list(|w| w.0.next_u64() as u8));
                let head = LentHead {
                    kind: self.0.below(20) as u8,
                    prefix_len: 0,
                    compacted: self.flag(),
                    records: self.0.next_u64() as u32,
                    first_offset: Offset(self.0.below(1 << 40) as i64),
                    max_timestamp: self.0.next_u64() as i64,
                    body_crc: self.0.next_u64() as u32,
                    total: at + bytes.len() as u64 + self.0.below(9),
                };
                LendingWord::Piece { head, at, bytes }
            }
        };
        Lending { group: GroupId(self.0.next_u64()), entry: Mark { term, index }, word }
    }

    fn tree_word(&mut self) -> TreeWord {
        let number = self.0.below(1 << 40);
        match self.0.below(5) {
            0 => TreeWord::Part { at: number, bytes: self.list(|w| w.0.next_u64() as u8) },
            1 => TreeWord::GivenUp,
            2 => TreeWord::Written { through: number },
            3 => TreeWord::Whole { bytes: number },
            _ => TreeWord::Refused,
        }
    }
}

fn read(bytes: &[u8]) -> Read<Mail> {
    decode(bytes, &TopicConfig::default())
}

#[test]
fn mail_arrives_as_it_was_sent_and_a_part_of_it_is_none() {
    let mut writer = Writer(Prng::new(11));
    for _ in 0..2_000 {
        let mail = writer.mail();
        let bytes = encode(&mail).expect("it travels");
        let arrived = read(&bytes).unwrap_or_else(|error| panic!("{mail:?}: {error}"));
        assert_eq!(format!("{arrived:?}"), format!("{mail:?}"));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "{cut} of {} bytes of {mail:?}", bytes.len());
        }
        assert!(read(&[&bytes[..], &[0]].concat()).is_err(), "something stands behind {mail:?}");
    }
}

/// Whatever is made of some bytes is mail that can be written again, or none.
#[test]
fn what_is_not_sound_is_no_mail_and_ends_nothing() {
    let mut writer = Writer(Prng::new(12));
    let (mut sound, mut unsound) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = encode(&writer.mail()).expect("it travels");
        for _ in 0..writer.0.between(1, 4) {
            let at = writer.0.below(bytes.len() as u64) as usize;
            bytes[at] = writer.0.next_u64() as u8;
        }
        match read(&bytes) {
            Ok(mail) => {
                let again = encode(&mail).expect("it was read");
                assert_eq!(format!("{:?}", read(&again).expect("it was written")), format!("{mail:?}"));
                sound += 1;
            }
            Err(_) => unsound += 1,
        }
    }
    assert!(sound > 100 && unsound > 100, "{sound} sound, {unsound} unsound");
}

/// What servers that are out there understand does not change: a kind that is new here comes with a version that is.
#[test]
fn the_mail_that_a_version_knows_is_this_for_ever() {
    let mut writer = Writer(Prng::new(13));
    let mut known = std::collections::BTreeMap::new();
    for _ in 0..2_000 {
        let mail = writer.mail();
        known.insert(encode(&mail).expect("it travels")[1], known::since(&mail).expect("it travels"));
    }
    let first = [1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 20, 21, 22, 23, 24].map(|number| (number, 1));
    assert_eq!(known, first.into_iter().chain([(kind::LENDING, 3), (kind::ROOM, 4)]).collect());
    // All kinds that can be read are among them.
    for number in 0..=u8::MAX {
        let is_unknown = |error: DecodeError| error.what == "kind of mail";
        let unknown = read(&[&[VERSION, number], &[0; 40][..]].concat()).is_err_and(is_unknown);
        assert_eq!(unknown, !known.contains_key(&number), "kind {number} is read, and not in the table");
    }
}

#[test]
fn lists_that_say_they_are_long_take_no_memory() {
    for kind in [kind::ASK_ADMIN, kind::ANSWER_COMMITTED, kind::LEADERS] {
        let head = match kind {
            kind::LEADERS => vec![VERSION, kind],
            kind::ASK_ADMIN => vec![VERSION, kind, 1, 3],
            _ => vec![VERSION, kind, 1, 1],
        };
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(read(&[&head[..], &most, &[0; 100]].concat()).is_err());
    }
}

#[test]
fn versions_and_kinds_that_are_not_known_are_refused() {
    let bytes = encode(&Mail::Ask { token: Token::forwarded(1), ask: Ask::ProducerId }).expect("it travels");
    for (at, value) in [(0, 0), (0, VERSION + 1), (1, 0), (1, 200)] {
        let mut other = bytes.clone();
        other[at] = value;
        assert!(read(&other).is_err(), "byte {at} is {value}");
    }
    let mut internal = vec![VERSION, kind::ASK_ADMIN, 1];
    put_admin(&mut internal, &Admin::CreateInternal { name: "orders".into(), partitions: 1, replication: 1 });
    assert!(read(&internal).is_err(), "only topics of the server's own are made so");
}

#[test]
fn what_means_something_inside_a_node_only_does_not_travel() {
    let token = Token(1);
    let part = FetchPart {
        position: 0,
        group: GroupId(1),
        offset: Offset(0),
        max_bytes: 1,
        epoch: -1,
        from: ReadFrom::Leader,
    };
    let inside = [
        Mail::Ask { token, ask: Ask::Fetch { conn: ConnId(1), parts: vec![part], max_bytes: 1, may_wait: false } },
        Mail::Answer { token, answer: Answer::Admin(Vec::new()) },
        Mail::Answer { token, answer: Answer::Sizes(Vec::new()) },
        Mail::Catalog { number: 1, change: CatalogChange::All { topics: vec![], groups: vec![], nodes: vec![] } },
        Mail::Present(BTreeSet::new()),
        Mail::Drained,
        Mail::Finish,
        Mail::Pressed,
    ];
    assert!(inside.iter().all(|mail| encode(mail).is_none()));
}

#[test]
fn fuzz_mail() {
    bolero::check!().for_each(|input: &[u8]| {
        let _ = read(input);
        for kind in 0..=u8::MAX {
            let bytes = [&[VERSION, kind], input].concat();
            let Ok(mail) = read(&bytes) else { continue };
            let again = encode(&mail).expect("it was read");
            assert_eq!(format!("{:?}", read(&again).expect("it was written")), format!("{mail:?}"));
        }
    });
}
