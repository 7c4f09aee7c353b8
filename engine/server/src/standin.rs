//! Stands in for the shard and the reactor until they are merged: the same names, no service. Goes with that merge.

#[expect(dead_code, reason = "the real ones read them")]
pub mod reactor {
    use super::shard::Shard;
    use std::io;
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::sync::{Arc, Condvar, Mutex, PoisonError};
    use torc_base::ids::ShardId;
    use torc_base::io::Level;

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

    #[derive(Clone, Default)]
    pub struct StopHandle(Arc<(Mutex<bool>, Condvar)>);

    impl StopHandle {
        pub fn stop(&self) {
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.0.1.notify_all();
        }
    }

    pub struct Post(StopHandle);

    impl Post {
        pub fn stop_handle(&self) -> StopHandle {
            self.0.clone()
        }
    }

    pub fn probe() -> io::Result<()> {
        Ok(())
    }

    pub fn mesh(shards: u16) -> io::Result<Vec<Post>> {
        Ok((0..shards).map(|_| Post(StopHandle::default())).collect())
    }

    pub fn run(_settings: Settings, post: Post, app: Shard, log: &mut dyn FnMut(Level, &str)) -> io::Result<Shard> {
        app.stats.ready.store(true, std::sync::atomic::Ordering::Release);
        log(Level::Info, "nothing is served: this is a stand-in");
        let (asked, changed) = &*post.0.0;
        let guard = asked.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(guard, |asked| !*asked));
        Ok(app)
    }
}

#[expect(dead_code, reason = "the real one reads them")]
pub mod shard {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use torc_base::ids::{NodeId, ShardId};

    pub struct Settings {
        pub node: NodeId,
        pub shard: ShardId,
        pub shards: u16,
        pub cluster_id: String,
        pub kafka: (String, u16),
        pub seed: u64,
        pub segment_bytes: u64,
        pub wal_batches_in_flight: u32,
        pub disk_reserve_bytes: u64,
        pub tail_cache_bytes: u64,
        pub auto_create_topics: bool,
        pub num_partitions: u32,
        pub message_max_bytes: u32,
        pub socket_request_max_bytes: u32,
        pub connections_max_idle_ms: i64,
        pub fetch_sessions_max: u32,
        pub log_retention_ms: i64,
        pub log_retention_bytes: i64,
        pub log_retention_check_interval_ms: u64,
        pub log_append_time: bool,
        pub min_insync_replicas: u32,
        pub producer_id_expiration_ms: u64,
    }

    pub enum Kind {
        Counter,
        Gauge,
    }

    #[derive(Default)]
    pub struct Stats {
        pub ready: AtomicBool,
    }

    impl Stats {
        pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, Kind, u64)> {
            let ready = u64::from(self.ready.load(Ordering::Relaxed));
            [("torc_shard_ready", "1 while the shard serves.", Kind::Gauge, ready)].into_iter()
        }
    }

    pub struct Shard {
        pub settings: Settings,
        pub stats: Arc<Stats>,
    }

    impl Shard {
        pub fn new(settings: Settings, stats: Arc<Stats>) -> Shard {
            Shard { settings, stats }
        }

        pub fn refused(&self) -> Option<String> {
            None
        }
    }
}
