//! The library against a fake daemon.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rlxc_api::{InstanceExecPost, Operation, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::fake::{Fake, Request, Script};
use crate::session::{Control, Streams};
use crate::{ClientError, Reply};

fn sync(metadata: &Value) -> String {
    serde_json::to_string(&Response::sync(metadata)).unwrap()
}

fn operation(status: StatusCode, metadata: &Value, err: &str) -> Operation {
    serde_json::from_value(json!({
        "id": "op", "status_code": status.code(), "status": status.text(), "metadata": metadata, "err": err,
    }))
    .unwrap()
}

struct Plain(AtomicUsize);

impl Script for Plain {
    fn reply(&self, request: &Request) -> (u16, String) {
        self.0.fetch_add(1, Ordering::Relaxed);
        match request.line() {
            "GET /1.0/instances" => (200, sync(&json!(["/1.0/instances/c1"]))),
            "PUT /1.0/instances/c1" if !request.head.to_lowercase().contains("if-match: \"t\"") => {
                (
                    412,
                    serde_json::to_string(&Response::<()>::error(412, "ETag doesn't match"))
                        .unwrap(),
                )
            }
            "PUT /1.0/instances/c1" => (200, sync(&json!({}))),
            "POST /1.0/instances" => {
                assert_eq!(request.body, r#"{"name":"c2"}"#);
                let begun =
                    Response::asynchronous(operation(StatusCode::Running, &Value::Null, ""));
                (202, serde_json::to_string(&begun).unwrap())
            }
            "GET /1.0/operations/op/wait?timeout=-1" => {
                let failed = operation(StatusCode::Failure, &Value::Null, "no space left");
                (200, sync(&serde_json::to_value(failed).unwrap()))
            }
            "GET /broken" => (500, "<html>".to_owned()),
            _ => (
                404,
                serde_json::to_string(&Response::<()>::error(404, "Instance not found")).unwrap(),
            ),
        }
    }
}

#[tokio::test]
async fn replies_and_refusals_are_told_apart() {
    let fake = Fake::start(Plain(AtomicUsize::new(0)));
    let client = &fake.connection;
    let tagged = client
        .get_tagged::<Vec<String>>("/1.0/instances")
        .await
        .unwrap();
    assert_eq!(tagged.value, ["/1.0/instances/c1"]);
    let stale = client
        .put("/1.0/instances/c1", &json!({}), Some("\"old\""))
        .await
        .unwrap_err();
    assert_eq!(stale.code(), Some(412));
    let put = client
        .put("/1.0/instances/c1", &json!({}), tagged.etag.as_deref())
        .await
        .unwrap();
    assert_eq!(put, Reply::Done(json!({})));
    let missing = client
        .get::<Value>("/1.0/instances/no?recursion=1")
        .await
        .unwrap_err();
    assert!(missing.is_not_found());
    assert!(matches!(missing, ClientError::Refused { path, .. } if path == "/1.0/instances/no"));
    let html = client.get::<Value>("/broken").await.unwrap_err();
    assert_eq!(html.to_string(), "HTTP 500: <html>");
}

#[tokio::test]
async fn an_operation_that_fails_is_an_error() {
    let fake = Fake::start(Plain(AtomicUsize::new(0)));
    let reply = fake
        .connection
        .post("/1.0/instances", &json!({ "name": "c2" }))
        .await
        .unwrap();
    let Reply::Begun(begun) = reply else {
        panic!("{reply:?}")
    };
    let error = fake.connection.follow(&begun, |_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), "no space left");
}

#[tokio::test]
async fn no_daemon_is_a_clear_error() {
    let endpoint = crate::Endpoint::Unix("/nonexistent/unix.socket".into());
    let error = crate::Connection::new(endpoint, None)
        .get::<Value>("/1.0")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "connect to /nonexistent/unix.socket");
}

/// `cat`, but for the first control message, which goes to stderr.
struct Cat {
    exit: Value,
    told: Mutex<Option<mpsc::Receiver<String>>>,
    tell: mpsc::Sender<String>,
    through: Mutex<Option<mpsc::Receiver<Bytes>>>,
    put: mpsc::Sender<Bytes>,
}

impl Cat {
    fn new(exit: Value) -> Self {
        let (tell, told) = mpsc::channel(1);
        let (put, through) = mpsc::channel(8);
        Self {
            exit,
            told: Mutex::new(Some(told)),
            tell,
            through: Mutex::new(Some(through)),
            put,
        }
    }
}

impl Script for Cat {
    fn reply(&self, request: &Request) -> (u16, String) {
        if request.line().contains("/wait") {
            let end = operation(StatusCode::Success, &self.exit, "");
            return (200, sync(&serde_json::to_value(end).unwrap()));
        }
        assert_eq!(request.line(), "POST /1.0/instances/c%201/exec");
        let fds = json!({ "fds": { "0": "a", "1": "b", "2": "c", "control": "d" } });
        let begun = Response::asynchronous(operation(StatusCode::Running, &fds, ""));
        (202, serde_json::to_string(&begun).unwrap())
    }

    async fn websocket(&self, path: &str, mut socket: WebSocketStream<UnixStream>) {
        match path.rsplit('=').next().unwrap() {
            "a" => {
                while let Some(Ok(Message::Binary(bytes))) = socket.next().await {
                    self.put.send(bytes).await.unwrap();
                }
                self.put.send(Bytes::new()).await.ok();
            }
            "b" => {
                let mut through = self.through.lock().unwrap().take().unwrap();
                while let Some(bytes) = through.recv().await.filter(|bytes| !bytes.is_empty()) {
                    socket.send(Message::Binary(bytes)).await.unwrap();
                }
                socket.send(Message::text("")).await.unwrap();
            }
            "c" => {
                let mut told = self.told.lock().unwrap().take().unwrap();
                let text = told.recv().await.unwrap();
                socket
                    .send(Message::Binary(text.into_bytes().into()))
                    .await
                    .unwrap();
                socket.send(Message::text("")).await.unwrap();
            }
            _ => {
                while let Some(Ok(Message::Text(text))) = socket.next().await {
                    self.tell.send(text.to_string()).await.ok();
                }
            }
        }
    }
}

async fn gather(mut pieces: mpsc::Receiver<Bytes>) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = pieces.recv().await {
        all.extend_from_slice(&bytes);
    }
    all
}

#[tokio::test]
async fn streams_signals_and_exit_code_go_through() {
    let fake = Fake::start(Cat::new(json!({ "return": 42 })));
    let (typed, input) = mpsc::channel(4);
    let (steer, control) = mpsc::channel(4);
    let ((output, written), (error, complained)) = (mpsc::channel(4), mpsc::channel(4));
    let big = vec![7; 3_000_000];
    typed.send(Bytes::from(big.clone())).await.unwrap();
    typed.send(Bytes::from_static(b"end")).await.unwrap();
    steer.send(Control::Signal(15)).await.unwrap();
    drop(typed);
    let streams = Streams {
        input,
        output,
        error,
        control,
    };
    let request = InstanceExecPost {
        command: vec!["cat".to_owned()],
        ..InstanceExecPost::default()
    };
    let session = fake.connection.exec("c 1", &request, streams);
    let (code, output, error) = tokio::join!(session, gather(written), gather(complained));
    assert_eq!(code.unwrap(), 42);
    assert_eq!(output.len(), big.len() + 3);
    assert!(output.ends_with(b"end"));
    assert_eq!(
        String::from_utf8(error).unwrap(),
        r#"{"command":"signal","args":{},"signal":15}"#
    );
}
