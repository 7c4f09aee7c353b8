//! Who leads now: a thread asks the cluster while connections want to know, so that no load waits for a blocking client.

use crate::cluster::{Routes, routes};
use crate::error::Error;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;
use torc_client::{Cluster, Times};

/// A broker that does not say so soon who leads is left for another one.
const TIMES: Times = Times { connect: Duration::from_millis(300), answer: Duration::from_millis(300) };
/// Between two questions.
const REST: Duration = Duration::from_millis(5);

#[derive(Default)]
struct State {
    /// Questions so far. Whoever asks waits for an answer that was begun behind its question.
    asked: u64,
    /// All questions up to this one have an answer.
    answered: u64,
    routes: Routes,
    over: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

/// Knows where the leaders of a topic's partitions are. The thread ends soon after this is dropped.
pub struct Guide(Arc<Shared>);

impl Guide {
    /// Asks one of `brokers` (`host:port,...`) about `topic` when somebody wants to know.
    pub fn start(brokers: String, topic: String) -> Guide {
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        thread::spawn(move || work(&told, &brokers, &topic));
        Guide(shared)
    }

    /// Asks who leads; returns the number of the question.
    pub fn ask(&self) -> u64 {
        let mut state = self.0.lock();
        state.asked += 1;
        self.0.news.notify_one();
        state.asked
    }

    /// Whether that question has an answer.
    pub fn has_answered(&self, question: u64) -> bool {
        self.0.lock().answered >= question
    }

    /// Where these partitions are led, as the last answer says, by address; `None` if one has no leader.
    pub fn find(&self, partitions: &[i32]) -> Option<BTreeMap<SocketAddr, Vec<i32>>> {
        let state = self.0.lock();
        let mut found: BTreeMap<SocketAddr, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            found.entry(*state.routes.get(partition)?).or_default().push(*partition);
        }
        Some(found)
    }
}

impl Drop for Guide {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.news.notify_one();
    }
}

fn work(shared: &Shared, brokers: &str, topic: &str) {
    let mut cluster: Option<Cluster> = None;
    loop {
        let mut state = shared.lock();
        while state.asked == state.answered && !state.over {
            state = shared.news.wait(state).expect("nobody panics with it");
        }
        if state.over {
            return;
        }
        let question = state.asked;
        drop(state);
        // A question without an answer is asked again.
        if let Ok(routes) = look(&mut cluster, brokers, topic) {
            let mut state = shared.lock();
            (state.routes, state.answered) = (routes, question);
        }
        thread::sleep(REST);
    }
}

fn look(cluster: &mut Option<Cluster>, brokers: &str, topic: &str) -> Result<Routes, Error> {
    let known = match cluster {
        Some(cluster) => cluster,
        None => cluster.insert(Cluster::connect_with(brokers, TIMES)?),
    };
    match known.metadata(Some(&[topic.to_string()])) {
        Ok(metadata) => Ok(routes(&metadata)),
        Err(error) => {
            if known.reconnect().is_err() {
                *cluster = None;
            }
            Err(error.into())
        }
    }
}
