//! The brokers of a cluster, each connected when it is first needed. Brokers come and go: what is known of them is what the last
//! one that was asked has told, and another one is asked when that turns out to be wrong.

use crate::ask::AskError;
use crate::client::{Client, ClientError, Times, error_name};
use crate::patience::Patience;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A broker that says nothing for so long is left for another one, as long as there is one. Who is paused keeps its
/// connections, and is waited for by nobody who can ask somebody else.
const IMPATIENCE: Duration = Duration::from_millis(250);

const NOT_CONTROLLER: i16 = ResponseError::NotController.code();

/// A cluster, reached through one of its brokers.
pub struct Cluster {
    /// As they were named, in that order.
    named: Vec<String>,
    /// Whom the cluster is asked about itself.
    bootstrap: Client,
    /// Connections made since, by broker id.
    clients: BTreeMap<i32, Client>,
    /// Where brokers say they are, by id.
    addresses: BTreeMap<i32, String>,
    controller: i32,
    times: Times,
    /// When somebody was last asked in vain at an address.
    failed: BTreeMap<String, Instant>,
}

/// Text of any lifetime as the protocol crate wants it.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

/// A topic's name as the protocol crate wants it.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

impl Cluster {
    /// Connects to the first of `host:port,host:port,...` that answers.
    pub fn connect(addresses: &str) -> Result<Cluster, ClientError> {
        Cluster::connect_with(addresses, Times::default())
    }

    /// The same; all brokers are waited for so long.
    pub fn connect_with(addresses: &str, times: Times) -> Result<Cluster, ClientError> {
        let named: Vec<String> = addresses.split(',').map(|address| address.trim().to_string()).collect();
        let mut failed = BTreeMap::new();
        let bootstrap = first_of(named.iter(), times, &mut failed)?;
        let (clients, addresses) = (BTreeMap::new(), BTreeMap::new());
        Ok(Cluster { named, bootstrap, clients, addresses, controller: -1, times, failed })
    }

    /// The same, tried again while there is patience.
    pub fn connect_patiently(addresses: &str, times: Times, patience: &mut Patience) -> Result<Cluster, AskError> {
        loop {
            match Cluster::connect_with(addresses, times) {
                Ok(cluster) => return Ok(cluster),
                Err(error) if error.passes() => patience.again(error)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives up connections that are broken or owe answers; those to brokers are made anew when they are needed. From now on
    /// another broker is asked about the cluster, if there is one: first those that were not asked in vain, then those with whom
    /// that is longest ago.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        let clients = self.clients.values().chain([&self.bootstrap]);
        let broken = clients.filter(|client| client.is_broken()).map(|client| (client.address().to_string(), now));
        self.failed.extend(broken.collect::<Vec<_>>());
        self.clients.retain(|_, client| client.is_sound());
        let (last, failed) = (self.bootstrap.address(), &self.failed);
        let mut known = self.known();
        known.sort_by_key(|address| (failed.get(address).copied(), address == last));
        self.bootstrap = first_of(known.iter(), self.times, &mut self.failed)?;
        Ok(())
    }

    /// Where brokers are: those that were named, then those that were told of.
    pub fn known(&self) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        for address in self.named.iter().chain(self.addresses.values()) {
            if !known.contains(address) {
                known.push(address.clone());
            }
        }
        known
    }

    /// A broker that answers questions about the cluster.
    pub fn any(&mut self) -> &mut Client {
        &mut self.bootstrap
    }

    /// Asks what any broker can answer: the last one that did, and others if that says nothing for a moment. What is asked may
    /// be answered twice.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let version = self.bootstrap.version::<R>()?;
        self.ask_in(request, version)
    }

    /// The same, in a version of the request.
    pub fn ask_in<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, ClientError> {
        for _ in 1..self.known().len() {
            self.bootstrap.send(request, version)?;
            match self.bootstrap.receive_soon::<R>(version, IMPATIENCE) {
                Err(error) if error.is_late() => self.reconnect()?,
                told => return told,
            }
        }
        // Whoever is left has all the time that there is.
        self.bootstrap.send(request, version)?;
        self.bootstrap.receive::<R>(version)
    }

    /// What the cluster says about these topics, or about all. Creates none.
    pub fn metadata(&mut self, names: Option<&[String]>) -> Result<MetadataResponse, ClientError> {
        let named = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let topics = names.map(|names| names.iter().map(named).collect());
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let response = self.ask(&request)?;
        let told: BTreeMap<i32, String> =
            response.brokers.iter().map(|b| (b.node_id.0, address_of(&b.host, b.port))).collect();
        // A broker that has moved is connected anew.
        self.clients.retain(|id, client| told.get(id).is_none_or(|address| address == client.address()));
        self.addresses = told;
        self.controller = response.controller_id.0;
        Ok(response)
    }

    /// The ids of all brokers, as the last metadata told them.
    pub fn brokers(&self) -> Vec<i32> {
        self.addresses.keys().copied().collect()
    }

    /// Where a broker says it is.
    pub fn address(&self, id: i32) -> Option<&str> {
        self.addresses.get(&id).map(String::as_str)
    }

    /// Where a broker says it is that was told of elsewhere.
    pub(crate) fn learn(&mut self, id: i32, host: &str, port: i32) {
        let address = address_of(host, port);
        if self.addresses.get(&id).is_some_and(|known| *known != address) {
            self.clients.remove(&id);
        }
        self.addresses.insert(id, address);
    }

    /// The broker of that id; the bootstrap one if the cluster does not say where it is.
    pub fn broker(&mut self, id: i32) -> Result<&mut Client, ClientError> {
        let Some(address) = self.addresses.get(&id) else {
            return Ok(&mut self.bootstrap);
        };
        if self.clients.get(&id).is_none_or(Client::is_broken) {
            self.clients.remove(&id);
            match Client::connect_one(address, self.times) {
                Ok(client) => drop(self.clients.insert(id, client)),
                Err(error) => {
                    self.failed.insert(address.clone(), Instant::now());
                    return Err(error);
                }
            }
        }
        Ok(self.clients.get_mut(&id).expect("it is connected"))
    }

    /// The broker that changes topics. Newer clusters forward such requests, older ones only take them there.
    pub fn controller(&mut self) -> Result<&mut Client, ClientError> {
        self.metadata(Some(&[]))?;
        self.broker(self.controller)
    }

    /// Asks the controller for a change. A controller that has moved, or that is not there yet, is looked up again while there is
    /// patience. `ask` sends the request and receives the answer; `codes` are the errors in that.
    ///
    /// # Errors
    /// A connection that breaks before the answer is one: it is not known whether the change was made. Other errors in the
    /// answer are the caller's.
    pub fn change<T>(
        &mut self,
        patience: &mut Patience,
        mut ask: impl FnMut(&mut Client) -> Result<T, ClientError>,
        codes: impl Fn(&T) -> Vec<i16>,
    ) -> Result<T, AskError> {
        loop {
            let why = match self.controller() {
                Ok(controller) => {
                    let answer = ask(controller)?;
                    if !codes(&answer).contains(&NOT_CONTROLLER) {
                        return Ok(answer);
                    }
                    error_name(NOT_CONTROLLER)
                }
                Err(error) if error.passes() => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            patience.again(why)?;
            // If nobody is there, the next round says so.
            let _ = self.reconnect();
        }
    }
}

/// Connects to the first that answers; notes who does not.
fn first_of<'a>(
    addresses: impl Iterator<Item = &'a String>,
    times: Times,
    failed: &mut BTreeMap<String, Instant>,
) -> Result<Client, ClientError> {
    let mut last = None;
    for address in addresses {
        match Client::connect_one(address, times) {
            Ok(client) => return Ok(client),
            Err(error) => {
                failed.insert(address.clone(), Instant::now());
                last = Some(error);
            }
        }
    }
    Err(last.expect("an address is named"))
}

fn address_of(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
