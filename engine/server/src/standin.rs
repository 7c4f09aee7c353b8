//! Stands in for the crates `torc-reactor` and `torc-shard` until they are merged: the same names, no service.
//! Goes with that merge, together with the one line of `start.rs` that names it.

pub mod torc_reactor {
    pub mod probe {
        use std::convert::Infallible;

        pub struct Features;

        pub fn raise_open_files() -> u64 {
            0
        }

        pub fn probe() -> Result<Features, Infallible> {
            Ok(Features)
        }
    }

    pub mod mail {
        use std::io;
        use std::sync::{Arc, Condvar, Mutex, PoisonError};

        #[derive(Clone, Default)]
        pub struct StopHandle(Arc<(Mutex<bool>, Condvar)>);

        impl StopHandle {
            pub fn stop(&self) {
                *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                self.0.1.notify_all();
            }

            pub(super) fn wait(&self) {
                let asked = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
                drop(self.0.1.wait_while(asked, |asked| !*asked));
            }
        }

        pub struct Post(pub(super) StopHandle);

        impl Post {
            pub fn stop_handle(&self) -> StopHandle {
                self.0.clone()
            }
        }

        pub fn mesh(shards: u16) -> io::Result<Vec<Post>> {
            Ok((0..shards).map(|_| Post(StopHandle::default())).collect())
        }
    }

    #[expect(dead_code, reason = "the real one is read")]
    pub mod settings {
        use std::net::TcpListener;
        use std::path::PathBuf;
        use torc_base::ids::ShardId;

        pub enum Sync {
            Dsync,
            WriteThenFdatasync,
        }

        pub struct Settings {
            pub shard: ShardId,
            pub core: Option<usize>,
            pub directory: PathBuf,
            pub listener: Option<TcpListener>,
            pub sync: Sync,
            pub spin_us: u32,
        }

        impl Settings {
            pub fn new(shard: ShardId, directory: PathBuf) -> Settings {
                Settings { shard, core: None, directory, listener: None, sync: Sync::Dsync, spin_us: 0 }
            }
        }
    }

    pub mod stats {
        #[derive(Default)]
        pub struct LoopStats;

        impl LoopStats {
            pub fn each(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![("turns", " Rounds of the loop.", 0)]
            }
        }
    }

    pub mod reactor {
        use super::super::torc_shard::shard::Shard;
        use super::{mail::Post, probe::Features, settings::Settings, stats::LoopStats};
        use std::io;
        use std::sync::{Arc, atomic::Ordering};
        use torc_base::io::Level;

        pub fn run(
            _settings: Settings,
            _features: &Features,
            post: Post,
            app: Shard,
            _stats: Arc<LoopStats>,
            log: &mut dyn FnMut(Level, &str),
        ) -> io::Result<Shard> {
            app.stats.ready.store(true, Ordering::Release);
            log(Level::Info, "nothing is served: this is a stand-in");
            post.0.wait();
            Ok(app)
        }
    }
}

#[expect(dead_code, reason = "the real ones are read")]
pub mod torc_shard {
    pub mod settings {
        use torc_base::ids::{NodeId, ShardId};
        use torc_base::limits::{ENTRY_BYTES_MAX, PAGE};

        /// `torc_wal::Settings`.
        #[derive(Default)]
        pub struct WalSettings {
            pub segment_bytes: u64,
            pub batches_in_flight: usize,
            pub tail_bytes: usize,
            pub reserve_bytes: u64,
            pub spare_segments: usize,
            pub idle_seal_ms: u64,
        }

        impl WalSettings {
            pub fn entry_bytes_max(&self) -> usize {
                ENTRY_BYTES_MAX.min(self.segment_bytes as usize - 16 * PAGE)
            }
        }

        /// `torc_state::config::TimestampType`.
        pub enum TimestampType {
            CreateTime,
            LogAppendTime,
        }

        /// `torc_state::config::TopicConfig`.
        pub struct TopicConfig {
            pub retention_ms: i64,
            pub retention_bytes: i64,
            pub max_message_bytes: u32,
            pub timestamp_type: TimestampType,
            pub timestamp_before_max_ms: i64,
            pub timestamp_after_max_ms: i64,
            pub min_insync_replicas: u32,
        }

        pub struct Settings {
            pub node: NodeId,
            pub shard: ShardId,
            pub shards: u16,
            pub cluster_id: String,
            pub advertised: (String, u16),
            pub seed: u64,
            pub wal: WalSettings,
            pub auto_create_topics: bool,
            pub num_partitions: u32,
            pub request_max_bytes: usize,
            pub topic_defaults: TopicConfig,
            pub retention_check_interval_ms: u64,
            pub producer_expiration_ms: i64,
            pub connection_idle_ms: u64,
            pub fetch_sessions: usize,
            pub drain_ms: u64,
            pub data_dir: String,
            pub described: Vec<(String, String)>,
        }
    }

    pub mod stats {
        use std::sync::atomic::{AtomicBool, Ordering};

        #[derive(Default)]
        pub struct Stats {
            pub ready: AtomicBool,
        }

        impl Stats {
            pub fn each(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
                vec![("up", " 1 while it serves.", "gauge", u64::from(self.ready.load(Ordering::Relaxed)))]
            }
        }
    }

    pub mod shard {
        use super::{settings::Settings, stats::Stats};
        use std::sync::Arc;

        pub struct Shard {
            pub settings: Settings,
            pub stats: Arc<Stats>,
        }

        impl Shard {
            pub fn new(settings: Settings, stats: Arc<Stats>) -> Shard {
                Shard { settings, stats }
            }

            pub fn refused(&self) -> Option<&str> {
                None
            }
        }
    }
}
