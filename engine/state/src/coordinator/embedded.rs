//! What Kafka's consumers put into the fields of the classic protocol that the coordinator only carries: subscriptions
//! and assignments. Source: `ConsumerProtocolSubscription.json` and `ConsumerProtocolAssignment.json` of Apache Kafka.
//! Both begin with a version; what a later version adds stands at the end, so that every reader understands the start.

/// The protocol type of Kafka's consumers.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

/// Reads big-endian fields off the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4).map(|bytes| i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.i16()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// The length of an array whose elements take at least `element_min` bytes each.
    fn count(&mut self, element_min: usize) -> Option<usize> {
        let count = usize::try_from(self.i32()?).ok()?;
        (count <= self.0.len() / element_min).then_some(count)
    }
}

/// The topics that a subscription names; `None` if it cannot be read.
pub(super) fn subscribed_topics(subscription: &[u8]) -> Option<Vec<&str>> {
    let mut fields = Fields(subscription);
    let version = fields.i16()?;
    if version < 0 {
        return None;
    }
    let count = fields.count(2)?;
    (0..count).map(|_| fields.text()).collect()
}
