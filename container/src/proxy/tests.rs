//! The loop with real sockets of this host's loopback, in a thread of the test.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::thread::JoinHandle;
use std::time::Duration;

use super::endpoint::Listener;
use super::*;

/// A proxy to `target`; it ends with this value.
struct Running {
    near: SocketAddr,
    instance: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn to(target: Endpoint, proxy_protocol: bool) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let owner = SocketOwner {
            uid: 0,
            gid: 0,
            mode: 0o600,
        };
        let (listen, listener, near) = if let Endpoint::Udp(_) = target {
            let listener = endpoint::listen(&Endpoint::Udp(any), owner).unwrap();
            let Listener::Datagram(socket) = &listener else {
                panic!()
            };
            let near = socket.local_addr().unwrap();
            (Endpoint::Udp(near), listener, near)
        } else {
            let socket = TcpListener::bind(any).unwrap();
            socket.set_nonblocking(true).unwrap();
            let near = socket.local_addr().unwrap();
            (Endpoint::Tcp(near), Listener::Stream(socket.into()), near)
        };
        let spec = ProxySpec {
            pairs: vec![(listen, target)],
            inside: false,
            proxy_protocol,
            owner,
            identity: None,
            lock: "/dev/null".into(),
            cgroup: String::new(),
        };
        // What a pidfd does when its process ends, a pipe does when its writer goes.
        let (read, write) = rustix::pipe::pipe().unwrap();
        let thread = std::thread::spawn(move || serve::serve(&[listener], read.as_fd(), &spec));
        Self {
            near,
            instance: Some(write),
            thread: Some(thread),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.instance.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A server that gives back what each connection says, once it has said all.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut said = Vec::new();
                stream.read_to_end(&mut said).unwrap();
                stream.write_all(&said).unwrap();
            });
        }
    });
    address
}

fn exchange(near: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(near).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut writer = stream.try_clone().unwrap();
    let said = said.to_vec();
    let sender = std::thread::spawn(move || {
        writer.write_all(&said).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    sender.join().unwrap();
    heard
}

#[test]
fn what_is_said_is_heard_after_one_side_has_ended() {
    let proxy = Running::to(Endpoint::Tcp(echo()), false);
    assert_eq!(exchange(proxy.near, b"hello"), b"hello");
    assert_eq!(exchange(proxy.near, b""), b"");
    let much: Vec<u8> = (0..8_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    assert!(
        exchange(proxy.near, &much) == much,
        "8 MB came back changed"
    );
}

#[test]
fn hundreds_of_connections_at_once() {
    let proxy = Running::to(Endpoint::Tcp(echo()), false);
    let mut streams: Vec<TcpStream> = (0..400)
        .map(|_| TcpStream::connect(proxy.near).unwrap())
        .collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(number.to_string().as_bytes()).unwrap();
    }
    for (number, mut stream) in streams.into_iter().enumerate().rev() {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, number.to_string());
    }
}

#[test]
fn who_cannot_be_connected_is_hung_up_on() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let proxy = Running::to(Endpoint::Tcp(address), false);
    let mut stream = TcpStream::connect(proxy.near).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // An end or a reset: both say that nobody is there.
    assert!(!matches!(stream.read(&mut [0; 9]), Ok(1..)));
}

#[test]
fn the_far_side_is_told_who_it_is() {
    let proxy = Running::to(Endpoint::Tcp(echo()), true);
    let heard = String::from_utf8(exchange(proxy.near, b"GET /")).unwrap();
    assert!(
        heard.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
        "{heard}"
    );
    assert!(heard.ends_with("\r\nGET /"), "{heard}");
}

#[test]
fn datagrams_find_their_way_back() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Running::to(Endpoint::Udp(server.local_addr().unwrap()), false);
    let clients: Vec<UdpSocket> = (0..3)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    let mut buffer = [0; 16];
    for (number, client) in clients.iter().enumerate() {
        client
            .send_to(&[u8::try_from(number).unwrap()], proxy.near)
            .unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], from).unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (length, usize::from(buffer[0]), from),
            (1, number, proxy.near)
        );
    }
}
