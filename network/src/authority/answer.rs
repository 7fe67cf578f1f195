//! The answer to one query: the whole zone, its SOA, or a refusal.

use std::collections::HashMap;
use std::net::IpAddr;

use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder};
use domain::base::{Message, MessageBuilder, Name, ToName as _};
use domain::rdata::tsig::Time48;
use domain::tsig::{Algorithm, Key, KeyName, ServerSequence};
use domain::zonefile::inplace::ScannedRecord;

use super::{Peer, Zone};

/// A message is ended when it is longer than this; one record more fits in any case.
const FULL: usize = 16 * 1024;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram, as the answer has to be.
    Udp,
    /// By a stream.
    Tcp,
}

/// A query that can be answered.
#[derive(Debug)]
pub struct Query {
    message: Message<Vec<u8>>,
    name: Name<Vec<u8>>,
    kind: Rtype,
}

impl Query {
    /// Reads one; `None` of what is no query, which gets no answer.
    pub fn read(bytes: Vec<u8>) -> Option<Self> {
        let message = Message::from_octets(bytes).ok()?;
        let header = message.header();
        if header.qr() || header.opcode() != Opcode::QUERY {
            return None;
        }
        let question = message.sole_question().ok()?;
        let (name, kind) = (question.qname().to_vec(), question.qtype());
        Some(Self {
            message,
            name,
            kind,
        })
    }

    /// The zone that is asked for, in lower case and without the last dot.
    pub fn zone(&self) -> String {
        let name = self.name.to_string().to_lowercase();
        name.trim_end_matches('.').to_owned()
    }
}

/// The messages of an answer; the asker is refused what it may not have, and what is not there.
pub fn answer(
    query: Query,
    zone: Option<&Zone>,
    from: IpAddr,
    transport: Transport,
) -> Vec<Vec<u8>> {
    let Query {
        mut message, kind, ..
    } = query;
    let keys = zone.map(keys).unwrap_or_default();
    let mut sequence = match ServerSequence::request(&keys, &mut message, Time48::now()) {
        Ok(sequence) => sequence,
        Err(error) => {
            let built = error.build_message(&message, MessageBuilder::new_vec());
            return built.map(AdditionalBuilder::finish).into_iter().collect();
        }
    };
    let key = sequence.as_ref().map(|sequence| sequence.key().name());
    let granted = zone.filter(|zone| is_allowed(zone, from, key));
    let Some(zone) = granted else {
        return refusal(&message, sequence.as_mut(), Rcode::REFUSED);
    };
    let (Some(soa), records) = zone.parse() else {
        return refusal(&message, sequence.as_mut(), Rcode::SERVFAIL);
    };
    let all: Vec<&ScannedRecord> = match (kind, transport) {
        (Rtype::AXFR | Rtype::IXFR, Transport::Tcp) => {
            let ends = std::iter::once(&soa);
            ends.clone().chain(&records).chain(ends).collect()
        }
        // The asker comes again by TCP, RFC 1995.
        (Rtype::SOA, _) | (Rtype::IXFR, Transport::Udp) => vec![&soa],
        _ => return refusal(&message, sequence.as_mut(), Rcode::REFUSED),
    };
    messages(&message, &all, sequence.as_mut())
}

/// The keys that peers have, whatever algorithm they use.
fn keys(zone: &Zone) -> HashMap<(KeyName, Algorithm), std::sync::Arc<Key>> {
    let mut keys = HashMap::new();
    for peer in &zone.peers {
        let (Some(secret), Some(name)) = (&peer.key, key_name(zone, peer)) else {
            continue;
        };
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            if let Ok(key) = Key::new(algorithm, secret, name.clone(), None, None) {
                keys.insert((name.clone(), algorithm), std::sync::Arc::new(key));
            }
        }
    }
    keys
}

fn key_name(zone: &Zone, peer: &Peer) -> Option<KeyName> {
    format!("{}_{}.", zone.name, peer.name).parse().ok()
}

fn is_allowed(zone: &Zone, from: IpAddr, key: Option<&KeyName>) -> bool {
    zone.peers.iter().any(|peer| {
        let knows_key = || key.is_some() && key_name(zone, peer).as_ref() == key;
        peer.may_be_at(from) && (peer.key.is_none() || knows_key())
    })
}

type Sequence = ServerSequence<std::sync::Arc<Key>>;

fn refusal(
    message: &Message<Vec<u8>>,
    sequence: Option<&mut Sequence>,
    rcode: Rcode,
) -> Vec<Vec<u8>> {
    let started = MessageBuilder::new_vec().start_answer(message, rcode);
    let finished = started.ok().and_then(|started| sign(started, sequence));
    finished.into_iter().collect()
}

fn messages(
    message: &Message<Vec<u8>>,
    records: &[&ScannedRecord],
    mut sequence: Option<&mut Sequence>,
) -> Vec<Vec<u8>> {
    let mut finished = Vec::new();
    let mut rest = records.iter().peekable();
    while rest.peek().is_some() {
        let Ok(mut builder) = MessageBuilder::new_vec().start_answer(message, Rcode::NOERROR)
        else {
            break;
        };
        builder.header_mut().set_aa(true);
        while builder.as_slice().len() < FULL {
            let Some(record) = rest.next() else { break };
            if builder.push(*record).is_err() {
                break;
            }
        }
        finished.extend(sign(builder, sequence.as_deref_mut()));
    }
    finished
}

fn sign(builder: AnswerBuilder<Vec<u8>>, sequence: Option<&mut Sequence>) -> Option<Vec<u8>> {
    let mut builder = builder.additional();
    if let Some(sequence) = sequence {
        sequence.answer(&mut builder, Time48::now()).ok()?;
    }
    Some(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::ZoneRecord;

    fn zone() -> Zone {
        let record = |number: u32| ZoneRecord {
            name: format!("host{number}"),
            ttl: 300,
            kind: "A".into(),
            value: format!("10.0.{}.{}", number / 256, number % 256),
        };
        Zone {
            name: "lab.example".into(),
            nameservers: vec!["ns1.lab.example".into()],
            serial: 7,
            records: (0..1000).map(record).collect(),
            peers: vec![Peer {
                name: "second".into(),
                address: Some("192.0.2.2".parse().unwrap()),
                key: None,
            }],
        }
    }

    fn ask(kind: Rtype, from: &str, transport: Transport) -> Vec<Message<Vec<u8>>> {
        let mut builder = MessageBuilder::new_vec().question();
        let name: Name<Vec<u8>> = "LAB.example".parse().unwrap();
        builder.push((name, kind)).unwrap();
        let query = Query::read(builder.finish()).unwrap();
        assert_eq!(query.zone(), "lab.example");
        let answers = answer(query, Some(&zone()), from.parse().unwrap(), transport);
        let read = |bytes| Message::from_octets(bytes).unwrap();
        answers.into_iter().map(read).collect()
    }

    fn count(messages: &[Message<Vec<u8>>]) -> u32 {
        messages
            .iter()
            .map(|message| u32::from(message.header_counts().ancount()))
            .sum()
    }

    #[test]
    fn a_peer_gets_the_whole_zone_between_its_soas() {
        let messages = ask(Rtype::AXFR, "192.0.2.2", Transport::Tcp);
        assert!(messages.len() > 1, "more than one message");
        assert_eq!(count(&messages), 1000 + 1 + 2);
        let soa = ask(Rtype::SOA, "::ffff:192.0.2.2", Transport::Udp);
        assert_eq!(count(&soa), 1);
    }

    #[test]
    fn nobody_else_gets_anything() {
        for (kind, from, transport) in [
            (Rtype::AXFR, "192.0.2.3", Transport::Tcp),
            (Rtype::SOA, "192.0.2.3", Transport::Udp),
            (Rtype::A, "192.0.2.2", Transport::Udp),
            (Rtype::AXFR, "192.0.2.2", Transport::Udp),
        ] {
            let messages = ask(kind, from, transport);
            assert_eq!(count(&messages), 0, "{kind} {from}");
            assert_eq!(messages[0].header().rcode(), Rcode::REFUSED);
        }
    }

    #[test]
    fn what_is_no_query_gets_no_answer() {
        assert!(Query::read(Vec::new()).is_none());
        assert!(Query::read(vec![0; 12]).is_none());
    }
}
