//! Record batches as logs handle them: the one door between logs and Kafka's format of records, which is torc's own on the
//! disk, too. Requests and codes of Kafka's protocol do not come through it.

pub use torc_net::kafka::records::{Batch, Invalid};

use torc_base::ids::{ProducerEpoch, ProducerId};
use torc_net::kafka::records;
use torc_state::partition::{Incoming, Sequenced};

/// The producer that a batch names, if any.
pub fn sequenced(batch: &Batch) -> Option<Sequenced> {
    (batch.producer_id >= 0).then_some(Sequenced {
        id: ProducerId(batch.producer_id),
        epoch: ProducerEpoch(batch.producer_epoch),
        base_sequence: batch.base_sequence,
    })
}

/// What a partition needs to know of a batch whose header has been checked.
pub fn incoming(batch: &Batch) -> Incoming {
    Incoming {
        records: batch.last_offset_delta as u32 + 1,
        producer: sequenced(batch),
        max_timestamp: batch.max_timestamp,
    }
}

/// The header of a batch of the log.
pub fn header(bytes: &[u8]) -> Result<Batch, Invalid> {
    records::parse(bytes)
}
