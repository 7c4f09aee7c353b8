//! FindCoordinator. The topic that coordinators keep their records in is made for the first who asks.

use super::{Kafka, OFFSETS_TOPIC, Out, ReplyTo, Waiting, wire};
use crate::kafka::expiry;
use crate::mail::{Admin, Ask, Token};
use torc_base::ids::GroupId;
use torc_net::kafka::schema::find_coordinator_response::Coordinator;
use torc_net::kafka::schema::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use torc_net::kafka::{StrBytes, error};

/// Types of keys.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// First version with many keys.
const MANY: i16 = 4;
/// How long the topic may take.
const CREATION_MS: i32 = 5_000;

impl Kafka {
    pub(in crate::kafka) fn find_coordinator(&mut self, out: &mut Out, to: ReplyTo, request: FindCoordinatorRequest) {
        let under_way = || self.pending.values().any(|pending| matches!(pending.what, Waiting::FindCoordinator(_)));
        if request.key_type != GROUP || self.view.offsets_topic().is_some() || under_way() {
            let response = self.coordinators_response(out, to, &request);
            return self.reply(out, to, &response);
        }
        let admin = Admin::CreateInternal {
            name: OFFSETS_TOPIC.into(),
            partitions: self.settings.offsets_partitions,
            replication: self.settings.offsets_replication,
        };
        let expires = expiry::limit(out.now.mono, CREATION_MS);
        let token = self.wait_until(out, expires, to, Waiting::FindCoordinator(Box::new(request)));
        out.asks.push_back((self.settings.owner(GroupId::CATALOG), token, Ask::Admin(admin)));
    }

    /// The topic has been made, or could not be, by this request or another.
    pub(in crate::kafka) fn finish_find_coordinator(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::FindCoordinator(request) = pending.what else { unreachable!("it was one") };
        let response = self.coordinators_response(out, pending.to, &request);
        self.reply(out, pending.to, &response);
    }

    fn coordinators_response(
        &self,
        out: &Out,
        to: ReplyTo,
        request: &FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let listener = out.conns.listener(to.conn);
        let find = |key: &StrBytes| {
            let refused = |code: i16, why: &str| {
                Coordinator::default()
                    .with_key(key.clone())
                    .with_node_id(BrokerId(-1))
                    .with_port(-1)
                    .with_error_code(code)
                    .with_error_message(Some(wire(why)))
            };
            let log = match request.key_type {
                GROUP => self.coordinator_of(key),
                // Fatal to the client, which is right: it would wait for ever.
                TRANSACTION => {
                    return refused(error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "transactions are not served");
                }
                _ => return refused(error::INVALID_REQUEST, "no such coordinators"),
            };
            let leader = log.ok().and_then(|log| self.view.leader(log));
            match leader.and_then(|leader| self.broker(leader.node, listener)) {
                Some(broker) => Coordinator::default()
                    .with_key(key.clone())
                    .with_node_id(broker.id)
                    .with_host(wire(&broker.host))
                    .with_port(broker.port.into()),
                None => refused(error::COORDINATOR_NOT_AVAILABLE, "the coordinator is not available"),
            }
        };
        if to.version >= MANY {
            let coordinators = request.coordinator_keys.iter().map(find).collect();
            return FindCoordinatorResponse::default().with_coordinators(coordinators);
        }
        let found = find(&request.key);
        let response = FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port);
        if to.version >= 1 { response.with_error_message(found.error_message) } else { response }
    }
}
