//! The brokers of a cluster, each connected when it is first needed.

use crate::client::{Client, ClientError};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A cluster, reached through one of its brokers.
pub struct Cluster {
    /// As it was named.
    address: String,
    bootstrap: Client,
    /// Connections made since, by broker id.
    clients: BTreeMap<i32, Client>,
    /// Where brokers say they are, by id.
    addresses: BTreeMap<i32, String>,
    controller: i32,
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
    /// Connects to any broker.
    pub fn connect(address: &str) -> Result<Cluster, ClientError> {
        let bootstrap = Client::connect(address)?;
        let (address, clients, addresses) = (address.to_string(), BTreeMap::new(), BTreeMap::new());
        Ok(Cluster { address, bootstrap, clients, addresses, controller: -1 })
    }

    /// Makes all connections anew, those to brokers when they are needed: what was asked on the old ones and has no answer is
    /// forgotten. Where the named broker does not answer, one that it told of does.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        self.clients.clear();
        self.bootstrap = Client::connect(&self.address).or_else(|error| {
            let known = self.addresses.values().find_map(|address| Client::connect(address).ok());
            known.ok_or(error)
        })?;
        Ok(())
    }

    /// The broker that was named on the command line.
    pub fn any(&mut self) -> &mut Client {
        &mut self.bootstrap
    }

    /// What the cluster says about these topics, or about all. Creates none.
    pub fn metadata(&mut self, names: Option<&[String]>) -> Result<MetadataResponse, ClientError> {
        let named = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let topics = names.map(|names| names.iter().map(named).collect());
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let response = self.bootstrap.call(&request)?;
        self.addresses = response.brokers.iter().map(|b| (b.node_id.0, address_of(&b.host, b.port))).collect();
        self.controller = response.controller_id.0;
        Ok(response)
    }

    /// The ids of all brokers, as the last metadata told them.
    pub fn brokers(&self) -> Vec<i32> {
        self.addresses.keys().copied().collect()
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
        match self.clients.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => Ok(new.insert(Client::connect(address)?)),
        }
    }

    /// The broker that changes topics. Newer clusters forward such requests, older ones only take them there.
    pub fn controller(&mut self) -> Result<&mut Client, ClientError> {
        self.metadata(Some(&[]))?;
        self.broker(self.controller)
    }
}

fn address_of(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
