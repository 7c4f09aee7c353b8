//! A small blocking client of the Kafka protocol, for commands: one connection, one request at a time.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes, VersionRange};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long others are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For a connection, and for the first word on it.
    pub connect: Duration,
    /// For an answer.
    pub answer: Duration,
}

impl Default for Times {
    /// Answers may take longer than any timeout that a command puts into a request.
    fn default() -> Times {
        Times { connect: Duration::from_secs(5), answer: Duration::from_secs(60) }
    }
}

/// A longer answer is taken for nonsense, such as an HTTP server's.
const ANSWER_BYTES_MAX: usize = 256 << 20;
const CLIENT_ID: &str = "torc-cli";

/// Why a request has no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answers at the address.
    Connect { address: String, error: io::Error },
    /// The connection broke, or the answer took too long.
    Lost { address: String, api: ApiKey, error: io::Error },
    /// What came is no answer to what was asked.
    Protocol { address: String, api: ApiKey, what: String },
    /// Server and client have no version of the request in common.
    Version { address: String, api: ApiKey, server: Option<VersionRange>, client: VersionRange },
    /// The request was refused as a whole.
    Refused { address: String, api: ApiKey, code: i16 },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Connect { address, error } => {
                let hint = match error.kind() {
                    io::ErrorKind::ConnectionRefused => "; is a server running there?",
                    _ => "",
                };
                write!(f, "cannot connect to {address}: {error}{hint} (the address is set with --bootstrap-server)")
            }
            ClientError::Lost { address, api, error } => write!(f, "{address} gave no answer to {api:?}: {error}"),
            ClientError::Protocol { address, api, what } => {
                write!(f, "{address} answered {api:?} with what is not Kafka's protocol: {what}")
            }
            ClientError::Version { address, api, server: None, .. } => write!(f, "{address} does not know {api:?}"),
            ClientError::Version { address, api, server: Some(server), client } => {
                write!(f, "{address} speaks {api:?} versions {server}, this torc {client}")
            }
            ClientError::Refused { address, api, code } => {
                write!(f, "{address} refused {api:?}: {}", error_name(*code))
            }
        }
    }
}

impl std::error::Error for ClientError {}

impl ClientError {
    /// True if the answer may still come: the broker is slow, or stopped.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, ClientError::Lost { error, .. } if error.kind() == io::ErrorKind::TimedOut)
    }

    /// True if a broker that restarts, or another one, may answer the same request.
    pub fn passes(&self) -> bool {
        match self {
            ClientError::Connect { .. } | ClientError::Lost { .. } => true,
            ClientError::Protocol { .. } | ClientError::Version { .. } | ClientError::Refused { .. } => false,
        }
    }
}

/// Kafka's name of an error code, such as `TOPIC_ALREADY_EXISTS`.
pub fn error_name(code: i16) -> String {
    let name = match ResponseError::try_from_code(code) {
        None => return "NONE".to_string(),
        Some(ResponseError::Unknown(code)) => return format!("error {code}"),
        Some(error) => format!("{error:?}"),
    };
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// One connection to one broker.
pub struct Client {
    stream: TcpStream,
    address: String,
    correlation: i32,
    /// Correlation ids of requests that were sent and have no answer yet.
    unanswered: VecDeque<i32>,
    /// What the broker speaks, by API key.
    versions: BTreeMap<i16, VersionRange>,
    times: Times,
    /// An answer did not come, or not whole.
    broken: bool,
}

impl Client {
    /// Connects to the first of `host:port,host:port,...` that answers, and asks what it speaks.
    pub fn connect(addresses: &str) -> Result<Client, ClientError> {
        let mut addresses = addresses.split(',').map(str::trim);
        let mut client = Client::connect_one(addresses.next().unwrap_or_default(), Times::default());
        for address in addresses {
            if client.is_ok() {
                break;
            }
            client = Client::connect_one(address, Times::default());
        }
        client
    }

    /// Connects to `host:port`.
    pub(crate) fn connect_one(address: &str, times: Times) -> Result<Client, ClientError> {
        let failed = |error| ClientError::Connect { address: address.to_string(), error };
        let stream = open(address, times).map_err(failed)?;
        let (versions, unanswered) = (BTreeMap::new(), VecDeque::new());
        let address = address.to_string();
        let mut client = Client { stream, address, correlation: 0, unanswered, versions, times, broken: false };
        client.learn_versions()?;
        client.stream.set_read_timeout(Some(times.answer)).map_err(|error| client.lost::<ApiVersionsRequest>(error))?;
        Ok(client)
    }

    /// Where it is connected to, as it was named.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// True if what is asked next gets its own answer.
    pub(crate) fn is_sound(&self) -> bool {
        !self.broken && self.unanswered.is_empty()
    }

    /// True if it can be asked nothing more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The versions of this request that the broker knows.
    pub fn server_versions<R: Request>(&self) -> Result<VersionRange, ClientError> {
        self.versions.get(&R::KEY).copied().ok_or_else(|| ClientError::Version {
            address: self.address.clone(),
            api: api_key::<R>(),
            server: None,
            client: R::VERSIONS,
        })
    }

    /// The version that a request of this type is sent in: the highest that both sides know.
    pub fn version<R: Request>(&self) -> Result<i16, ClientError> {
        self.version_up_to::<R>(R::VERSIONS.max)
    }

    /// The highest version up to `most` that both sides know, for requests whose later versions say things otherwise.
    pub fn version_up_to<R: Request>(&self, most: i16) -> Result<i16, ClientError> {
        let server = self.versions.get(&R::KEY).copied();
        let client = VersionRange { max: most.min(R::VERSIONS.max), ..R::VERSIONS };
        let common = server.map(|server| server.intersect(&client)).filter(|common| common.min <= common.max);
        common.map(|common| common.max).ok_or_else(|| ClientError::Version {
            address: self.address.clone(),
            api: api_key::<R>(),
            server,
            client,
        })
    }

    /// Sends a request and waits for its answer. Error codes inside the answer are the caller's.
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let version = self.version::<R>()?;
        self.send(request, version)?;
        self.receive::<R>(version)
    }

    /// Sends a request in `version`. Each [`Client::receive`] takes the answer to the oldest one that has none; to a Produce with
    /// acks 0 there comes none.
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        self.correlation += 1;
        let frame = self.frame(request, version).map_err(|what| self.protocol::<R>(what))?;
        if let Err(error) = self.stream.write_all(&frame) {
            self.broken = true;
            return Err(self.lost::<R>(error));
        }
        self.unanswered.push_back(self.correlation);
        Ok(())
    }

    /// Sends a request that the broker does not answer.
    pub fn send_only<R: Request>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        self.send(request, version)?;
        self.unanswered.pop_back();
        Ok(())
    }

    /// Waits for the answer to a request of this type that was sent in `version`.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, ClientError> {
        let mut answer = self.answer::<R>(version)?;
        R::Response::decode(&mut answer, version).map_err(|error| self.protocol::<R>(error.to_string()))
    }

    /// The same, for an answer that others may keep waiting for so long.
    pub fn receive_within<R: Request>(&mut self, version: i16, time: Duration) -> Result<R::Response, ClientError> {
        self.stream.set_read_timeout(Some(time)).map_err(|error| self.lost::<R>(error))?;
        let answer = self.receive::<R>(version);
        self.stream.set_read_timeout(Some(self.times.answer)).map_err(|error| self.lost::<R>(error))?;
        answer
    }

    /// The same, for an answer that comes soon if the broker is well.
    pub(crate) fn receive_soon<R: Request>(
        &mut self,
        version: i16,
        time: Duration,
    ) -> Result<R::Response, ClientError> {
        self.receive_within::<R>(version, time.min(self.times.answer))
    }

    /// ApiVersions, as clients do it: the newest version first; a broker that does not know it says so in the
    /// layout of version 0, with what it knows.
    fn learn_versions(&mut self) -> Result<(), ClientError> {
        type Ask = ApiVersionsRequest;
        let newest = 3;
        let request = Ask::default()
            .with_client_software_name(StrBytes::from_static_str("torc"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let answer = self.exchange(&request, newest)?;
        let unknown = ResponseError::UnsupportedVersion.code();
        let mut response = match answer.first_chunk::<2>().map(|code| i16::from_be_bytes(*code)) {
            Some(code) if code == unknown => self.decode_versions(answer, 0)?,
            _ => self.decode_versions(answer, newest)?,
        };
        if response.error_code == unknown {
            let answer = self.exchange(&Ask::default(), 0)?;
            response = self.decode_versions(answer, 0)?;
        }
        if response.error_code != 0 {
            let (address, code) = (self.address.clone(), response.error_code);
            return Err(ClientError::Refused { address, api: ApiKey::ApiVersions, code });
        }
        let range = |api: &kafka_protocol::messages::api_versions_response::ApiVersion| {
            (api.api_key, VersionRange { min: api.min_version, max: api.max_version })
        };
        self.versions = response.api_keys.iter().map(range).collect();
        Ok(())
    }

    fn decode_versions(&self, mut answer: Bytes, version: i16) -> Result<ApiVersionsResponse, ClientError> {
        ApiVersionsResponse::decode(&mut answer, version)
            .map_err(|error| self.protocol::<ApiVersionsRequest>(error.to_string()))
    }

    /// Sends a request in `version`; returns the body of the answer.
    fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<Bytes, ClientError> {
        self.send(request, version)?;
        self.answer::<R>(version)
    }

    /// The body of the next answer, which is one to the oldest request without.
    fn answer<R: Request>(&mut self, version: i16) -> Result<Bytes, ClientError> {
        let answer = self.read_answer::<R>(version);
        // What follows a broken answer is part of it.
        self.broken |= answer.is_err();
        answer
    }

    fn read_answer<R: Request>(&mut self, version: i16) -> Result<Bytes, ClientError> {
        let expected = self.unanswered.pop_front().expect("a request was sent");
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(|error| self.lost::<R>(error))?;
        let length = u32::from_be_bytes(length) as usize;
        if !(4..=ANSWER_BYTES_MAX).contains(&length) {
            return Err(self.protocol::<R>(format!("a length of {length} bytes")));
        }
        // Grows with what really comes, whatever length was promised.
        let mut answer = Vec::new();
        let got = (&mut self.stream).take(length as u64).read_to_end(&mut answer);
        got.map_err(|error| self.lost::<R>(error))?;
        if answer.len() < length {
            return Err(self.lost::<R>(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))
            .map_err(|error| self.protocol::<R>(error.to_string()))?;
        if header.correlation_id != expected {
            let what = format!("correlation id {} instead of {expected}", header.correlation_id);
            return Err(self.protocol::<R>(what));
        }
        Ok(answer)
    }

    fn frame<R: Request>(&self, request: &R, version: i16) -> Result<BytesMut, String> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        header.encode(&mut frame, R::header_version(version)).map_err(|error| error.to_string())?;
        request.encode(&mut frame, version).map_err(|error| format!("version {version} cannot say this: {error}"))?;
        let length = u32::try_from(frame.len() - 4).map_err(|_| "a request of over 4 GiB".to_string())?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame)
    }

    fn lost<R: Request>(&self, error: io::Error) -> ClientError {
        let error = match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it closed the connection"),
            io::ErrorKind::WouldBlock => {
                let time = self.stream.read_timeout().ok().flatten().unwrap_or(self.times.answer);
                io::Error::new(io::ErrorKind::TimedOut, format!("nothing came for {} s", time.as_secs_f64()))
            }
            _ => error,
        };
        ClientError::Lost { address: self.address.clone(), api: api_key::<R>(), error }
    }

    fn protocol<R: Request>(&self, what: String) -> ClientError {
        ClientError::Protocol { address: self.address.clone(), api: api_key::<R>(), what }
    }
}

fn api_key<R: Request>() -> ApiKey {
    ApiKey::try_from(R::KEY).expect("every request type has its key")
}

/// Tries all addresses of the name, as it may have one in each family and listen on one.
pub(crate) fn open(address: &str, times: Times) -> io::Result<TcpStream> {
    if !address.contains(':') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the port is missing, write host:port"));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, times.connect) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(times.connect))?;
                stream.set_write_timeout(Some(times.answer))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
