//! The end of a connection: what the client still sends is read for nobody, for a moment. A socket that is closed with unread
//! bytes in it resets the connection, and the client may never see the reply that told it why; see RFC 9112, section 9.6.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_openssl::SslStream;
use tokio_util::sync::CancellationToken;

/// For how long, at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many bytes, at most.
const LARGEST: usize = 16 << 20;

/// A stream that ends so.
#[derive(Debug)]
pub(super) struct Linger {
    stream: SslStream<TcpStream>,
    hurry: CancellationToken,
    end: Option<End>,
}

/// Our side is closed.
#[derive(Debug)]
struct End {
    deadline: Pin<Box<Sleep>>,
    left: usize,
}

impl Linger {
    /// After `hurry` it ends at once.
    pub(super) fn new(stream: SslStream<TcpStream>, hurry: CancellationToken) -> Self {
        Self {
            stream,
            hurry,
            end: None,
        }
    }
}

impl AsyncRead for Linger {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Linger {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.end.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let end = this.end.get_or_insert_with(|| End {
            deadline: Box::pin(sleep(PATIENCE)),
            left: LARGEST,
        });
        let mut scratch = [0; 16 << 10];
        while end.left > 0
            && !this.hurry.is_cancelled()
            && end.deadline.as_mut().poll(context).is_pending()
        {
            let mut buffer = ReadBuf::new(&mut scratch);
            // As it comes, encrypted: nobody wants to know what it says.
            let read = Pin::new(this.stream.get_mut()).poll_read(context, &mut buffer);
            match ready!(read) {
                Ok(()) if !buffer.filled().is_empty() => {
                    end.left = end.left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
