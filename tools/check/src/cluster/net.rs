//! A network of the nodes' own: a namespace for each on one bridge, so that links between two of them can be cut without a word to
//! either, in one direction or in both. It takes root and iproute2.

use crate::failure::{Result, wrong};
use std::process::Command;

/// A network address that no interface has: what is sent there arrives nowhere.
const NOWHERE: &str = "02:00:00:00:00:fe";
/// Of the range for tests between networks (RFC 2544).
const RANGE: &str = "198.18";
/// The end of the bridge's own address.
const HUB: u32 = 254;

/// What of a node's traffic with other nodes is lost. Its clients reach it as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// What it sends.
    Out,
    /// What it is sent.
    In,
    Both,
}

/// Namespaces of nodes 1 to `count`; removed when dropped.
pub struct Net {
    /// Begins the names of everything that is made.
    tag: String,
    /// The third number of all addresses.
    third: u32,
    count: u32,
}

impl Net {
    /// Makes it.
    ///
    /// # Errors
    /// This machine cannot, and why.
    pub fn new(count: u32) -> Result<Net> {
        let process = std::process::id();
        let net = Net { tag: format!("tc{}", process % 1_000_000), third: process % 250 + 1, count };
        let bridge = net.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", net.address(HUB)), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for id in 1..=count {
            let (space, outside) = (net.space(id), format!("{}v{id}", net.tag));
            ip(&["netns", "add", &space])?;
            ip(&["link", "add", &outside, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
            ip(&["link", "set", &outside, "master", &bridge, "up"])?;
            net.inside(id, &["addr", "add", &format!("{}/24", net.address(id)), "dev", "eth0"])?;
            net.inside(id, &["link", "set", "lo", "up"])?;
            net.inside(id, &["link", "set", "eth0", "up"])?;
        }
        Ok(net)
    }

    fn bridge(&self) -> String {
        format!("{}br", self.tag)
    }

    fn space(&self, id: u32) -> String {
        format!("{}n{id}", self.tag)
    }

    /// Where a node listens.
    pub fn address(&self, id: u32) -> String {
        format!("{RANGE}.{}.{id}", self.third)
    }

    /// What stands in front of a node's command.
    pub fn wrapper(&self, id: u32) -> Vec<String> {
        ["ip", "netns", "exec", &self.space(id)].map(str::to_string).to_vec()
    }

    fn inside(&self, id: u32, args: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.space(id)], args].concat())
    }

    /// From now on a node's links to all others lose what they carry, silently.
    pub fn cut(&self, node: u32, cut: Cut) -> Result<()> {
        for other in (1..=self.count).filter(|other| *other != node) {
            if cut != Cut::In {
                self.lose(node, other)?;
            }
            if cut != Cut::Out {
                self.lose(other, node)?;
            }
        }
        Ok(())
    }

    /// What `from` sends to `to` goes nowhere.
    fn lose(&self, from: u32, to: u32) -> Result<()> {
        self.inside(
            from,
            &["neigh", "replace", &self.address(to), "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent"],
        )
    }

    /// All links carry what they are given.
    pub fn heal(&self) -> Result<()> {
        for id in 1..=self.count {
            // What a node knows of its neighbours it finds out again.
            self.inside(id, &["neigh", "flush", "dev", "eth0", "nud", "permanent"])?;
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // With a namespace goes its interface, and with that the other end of it.
        for id in 1..=self.count {
            let _ = ip(&["netns", "del", &self.space(id)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    match Command::new("ip").args(args).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => wrong(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => wrong(format!("ip {}: {error}", args.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::cannot_run;

    /// One datagram from one node to another; true if it arrives.
    fn arrives(net: &Net, from: u32, to: u32) -> bool {
        let (address, port) = (net.address(to), "9000");
        let listen = "import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind((sys.argv[1],9000)); \
                      s.settimeout(1.5); print('bound',flush=True); s.recv(9)";
        let send = "import socket,sys,time; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nfor i in range(5): \
                    s.sendto(b'x',(sys.argv[1],int(sys.argv[2]))); time.sleep(0.1)";
        let python = |id: u32, args: &[&str]| {
            let words = net.wrapper(id);
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).arg("python3").arg("-c").args(args);
            command.stderr(std::process::Stdio::null());
            command
        };
        let mut receiver = python(to, &[listen, &address]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut out = std::io::BufReader::new(receiver.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut said).unwrap();
        assert_eq!(said, "bound\n");
        assert!(python(from, &[send, &address, port]).status().unwrap().success());
        receiver.wait().unwrap().success()
    }

    #[test]
    fn links_are_cut_in_the_direction_that_was_asked_for() {
        let net = match Net::new(3) {
            Ok(net) => net,
            Err(why) => return cannot_run("links_are_cut_in_the_direction_that_was_asked_for", why),
        };
        assert!(arrives(&net, 1, 2) && arrives(&net, 2, 1));
        for (cut, out, into) in [(Cut::Out, false, true), (Cut::In, true, false), (Cut::Both, false, false)] {
            net.cut(1, cut).unwrap();
            assert_eq!((arrives(&net, 1, 2), arrives(&net, 2, 1)), (out, into), "{cut:?}");
            assert!(arrives(&net, 2, 3), "others are not cut off");
            net.heal().unwrap();
            assert!(arrives(&net, 1, 2) && arrives(&net, 2, 1), "healed after {cut:?}");
        }
    }
}
