//! What credentials prove.

use super::acl::Id;
use super::error::TreeError;
use sha1::{Digest, Sha1};

/// Something that is known of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// How it is known.
    pub scheme: &'static str,
    /// An address; a user and a hash of name and password; nothing.
    pub id: String,
}

impl Identity {
    /// Every client has the address that it comes from, without a port.
    pub fn of_address(address: &str) -> Identity {
        Identity { scheme: "ip", id: address.into() }
    }

    /// As access lists name it.
    pub fn as_id(&self) -> Id<'_> {
        Id { scheme: self.scheme, id: &self.id }
    }
}

/// Who somebody is that comes from `address` and shows credentials of some scheme. Fails if nobody knows the scheme, or where it
/// wants some and there are none. Name and password are always believed: what they may do is the question. Whose hash is `super_digest` (`user:hash`) may do
/// everything.
pub fn authenticate(
    scheme: &str,
    credentials: Option<&[u8]>,
    address: &str,
    super_digest: Option<&str>,
) -> Result<Vec<Identity>, TreeError> {
    match scheme {
        "ip" => Ok(vec![Identity::of_address(address)]),
        "digest" => {
            let id = digest(&String::from_utf8_lossy(credentials.ok_or(TreeError::AuthFailed)?));
            let is_super = super_digest == Some(&id);
            let all = is_super.then(|| Identity { scheme: "super", id: String::new() });
            Ok(all.into_iter().chain([Identity { scheme: "digest", id }]).collect())
        }
        _ => Err(TreeError::AuthFailed),
    }
}

/// The name of `user:password`, and the hash of all of it.
fn digest(user_and_password: &str) -> String {
    let user = user_and_password.split(':').next().unwrap_or_default();
    format!("{user}:{}", base64(&Sha1::digest(user_and_password)))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
