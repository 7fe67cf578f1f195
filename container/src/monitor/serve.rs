//! The loop of a monitor whose container runs.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rlxc_sys::{packet, pidfd, pty};
use rustix::event::{PollFd, PollFlags};

use super::connection::{Connection, error_reply};
use super::exec::Command;
use super::intercept::{self, Interceptor};
use super::launch::{self, Container};
use super::shutdown;
use super::{mounts, nodes};
use crate::exit::{ExitCause, ExitRecord};
use crate::protocol::{self, ExecRequest, Failure, PROTOCOL, Reply, Request, SOCKET};

/// What may have something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Listener,
    Init,
    Console,
    ConsoleClient,
    View,
    Intercept(intercept::Source),
    Connection(u64),
    /// Status socket, helper and command of the command that a connection asked for.
    Command(u64),
}

struct Monitor {
    container: Container,
    interceptor: Option<Interceptor>,
    connections: Vec<Connection>,
    commands: Vec<Command>,
    next_id: u64,
}

/// Serves until the container ends.
pub(super) fn serve(mut container: Container) {
    let mut monitor = Monitor {
        interceptor: container.interceptor.take(),
        container,
        connections: Vec::new(),
        commands: Vec::new(),
        next_id: 1,
    };
    loop {
        let Ok(ready) = monitor.wait() else {
            // poll(2) fails only for want of memory; the container is not to suffer.
            continue;
        };
        for source in ready {
            if source == Source::Init {
                if let Some(cause) = monitor.try_reap_init() {
                    return monitor.finish(cause);
                }
            } else {
                monitor.attend(source);
            }
        }
        monitor.forget();
    }
}

impl Monitor {
    fn wait(&self) -> io::Result<Vec<Source>> {
        let (sources, mut fds): (Vec<_>, Vec<_>) = self.sources().into_iter().unzip();
        match rustix::event::poll(&mut fds, None) {
            Ok(_ready) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let ready = sources.into_iter().zip(&fds);
        Ok(ready
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(source, _)| source)
            .collect())
    }

    /// Init comes last: what its end took along is told first.
    fn sources(&self) -> Vec<(Source, PollFd<'_>)> {
        fn entry<Fd: AsFd>(source: Source, fd: &Fd, events: PollFlags) -> (Source, PollFd<'_>) {
            (source, PollFd::new(fd, events))
        }
        let container = &self.container;
        let console = &container.console;
        let mut sources = vec![
            entry(Source::Listener, &container.listener, PollFlags::IN),
            entry(Source::Console, &console.master, console.master_events()),
        ];
        if let Some(client) = &console.client {
            sources.push(entry(
                Source::ConsoleClient,
                client,
                console.client_events(),
            ));
        }
        if let Some(view) = &container.view {
            sources.push(entry(Source::View, view.descriptor(), PollFlags::IN));
        }
        let intercepted = self.interceptor.iter().flat_map(Interceptor::sources);
        sources.extend(intercepted.map(|(source, fd)| {
            let fd = PollFd::from_borrowed_fd(fd, PollFlags::IN);
            (Source::Intercept(source), fd)
        }));
        for connection in &self.connections {
            let source = Source::Connection(connection.id);
            sources.push(entry(source, &connection.socket, PollFlags::IN));
        }
        for command in &self.commands {
            let source = Source::Command(command.connection);
            let fds = [&command.status, &command.helper, &command.pidfd];
            for fd in fds.into_iter().flatten() {
                sources.push(entry(source, fd, PollFlags::IN));
            }
        }
        sources.push(entry(Source::Init, &container.init.pidfd, PollFlags::IN));
        sources
    }

    fn attend(&mut self, source: Source) {
        match source {
            Source::Listener => {
                // A client that went away again is no matter.
                if let Ok(socket) = packet::accept(self.container.listener.as_fd()) {
                    self.connections.push(Connection::new(self.next_id, socket));
                    self.next_id += 1;
                }
            }
            Source::Console => self.container.console.pump_output(),
            Source::ConsoleClient => self.container.console.pump_input(),
            Source::View => {
                let view = self.container.view.as_mut();
                // Nobody has it mounted any more.
                if view.is_some_and(|view| view.attend().is_err()) {
                    self.container.view = None;
                }
            }
            Source::Intercept(source) => {
                if let Some(interceptor) = &mut self.interceptor {
                    interceptor.attend(source, &self.container);
                }
            }
            Source::Connection(id) => self.hear(id),
            Source::Command(id) => self.follow(id),
            Source::Init => {}
        }
    }

    /// Drops what is over.
    fn forget(&mut self) {
        self.connections.retain(|connection| !connection.closed);
        self.commands.retain(|command| !command.is_over());
    }

    fn connection(&mut self, id: u64) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .find(|connection| connection.id == id)
    }

    fn command(&mut self, id: u64) -> Option<&mut Command> {
        self.commands
            .iter_mut()
            .find(|command| command.connection == id)
    }

    fn hear(&mut self, id: u64) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        match protocol::receive::<Request>(connection.socket.as_fd()) {
            Ok(Some((request, fds))) => self.answer(id, request, &fds),
            Ok(None) => connection.closed = true,
            // Bytes that are no request, or one of another form than ours.
            Err(error) if error.raw_os_error().is_none() => {
                connection.reply(&Reply::Unsupported, &[]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_broken) => connection.closed = true,
        }
    }

    fn answer(&mut self, id: u64, request: Request, fds: &[OwnedFd]) {
        let result = match request {
            Request::Hello { .. } => return self.greet(id),
            Request::Exec(request) => return self.execute(id, &request, fds),
            Request::Status => return self.tell_status(id),
            Request::ConsoleAttach => return self.attach_console(id),
            Request::ConsoleLog { clear } => return self.tell_console_log(id, clear),
            Request::ExecSignal { signal } => {
                // Not answered: the answer could not be told from what the command has to say. A command that has
                // just ended is no error.
                drop(self.command(id).map(|command| command.signal(signal)));
                return;
            }
            Request::ExecResize { width, height } => {
                drop(
                    self.command(id)
                        .map(|command| command.resize(width, height)),
                );
                return;
            }
            Request::Signal { signal } => self.signal_init(signal),
            Request::Mount { mount } => {
                let result = mounts::add(&mut self.container, mount);
                return self.settle(id, result);
            }
            Request::SetDevices { device, nodes } => {
                let result = nodes::set(&mut self.container, &device, &nodes);
                return self.settle(id, result);
            }
            Request::SetRlimits { rlimits } => {
                let result = self.set_rlimits(&rlimits);
                return self.settle(id, result);
            }
            Request::SetMounts { mounts } => {
                if let Some(interceptor) = &mut self.interceptor {
                    interceptor.set_mounts(mounts);
                }
                Ok(())
            }
            Request::Unmount { target } => {
                let result = mounts::remove(&mut self.container, &target);
                return self.settle(id, result);
            }
            Request::Shutdown => self.signal_init(shutdown::signal_for(self.container.init.pid)),
            Request::ConsoleResize { width, height } => {
                pty::resize(self.container.console.master.as_fd(), width, height)
            }
            Request::Start { .. }
            | Request::Proxy { .. }
            | Request::Continue
            | Request::Unknown => Err(io::ErrorKind::Unsupported.into()),
        };
        let Some(connection) = self.connection(id) else {
            return;
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                connection.reply(&Reply::Unsupported, &[]);
            }
            result => connection.acknowledge(result),
        }
    }

    fn settle(&mut self, id: u64, result: Result<(), Failure>) {
        let reply = match result {
            Ok(()) => Reply::Done,
            Err(Failure { errno, detail, .. }) => Reply::Error { detail, errno },
        };
        if let Some(connection) = self.connection(id) {
            connection.reply(&reply, &[]);
        }
    }

    fn set_rlimits(&mut self, rlimits: &[(String, u64, u64)]) -> Result<(), Failure> {
        let container = &mut self.container;
        let owner = container.owner.map(|(user, _)| user);
        container
            .confinement
            .set_limits(rlimits, (container.init.pid, owner))
    }

    fn signal_init(&self, signal: i32) -> io::Result<()> {
        pidfd::send_signal(self.container.init.pidfd.as_fd(), signal)
    }

    fn greet(&mut self, id: u64) {
        let container = &self.container;
        let reply = Reply::Hello {
            protocol: PROTOCOL,
            instance: container.instance.clone(),
            init_pid: container.init.pid,
            started_at: container.started_at,
        };
        let mut fds = vec![container.init.pidfd.as_fd(), container.netns.as_fd()];
        fds.extend(container.userns.as_ref().map(AsFd::as_fd));
        if let Some(connection) = self
            .connections
            .iter_mut()
            .find(|connection| connection.id == id)
        {
            connection.listens = true;
            connection.reply(&reply, &fds);
        }
    }

    fn tell_status(&mut self, id: u64) {
        let reply = Reply::Status {
            init_pid: self.container.init.pid,
            commands: u32::try_from(self.commands.len()).unwrap_or(u32::MAX),
            console_attached: self.container.console.client.is_some(),
        };
        if let Some(connection) = self.connection(id) {
            connection.reply(&reply, &[]);
        }
    }

    fn attach_console(&mut self, id: u64) {
        let result = self.container.console.attach();
        let Some(connection) = self.connection(id) else {
            return;
        };
        match result {
            Ok(stream) => connection.reply(&Reply::Console, &[stream.as_fd()]),
            Err(error) => connection.reply(&error_reply(&error), &[]),
        }
    }

    fn tell_console_log(&mut self, id: u64, clear: bool) {
        let result = self.container.console.output();
        if clear && result.is_ok() {
            self.container.console.clear();
        }
        let Some(connection) = self.connection(id) else {
            return;
        };
        match result {
            Ok((file, size)) => connection.reply(&Reply::ConsoleLog { size }, &[file.as_fd()]),
            Err(error) => connection.reply(&error_reply(&error), &[]),
        }
    }

    fn execute(&mut self, id: u64, request: &ExecRequest, stdio: &[OwnedFd]) {
        if self.command(id).is_some() {
            // One connection, one command.
            if let Some(connection) = self.connection(id) {
                connection.reply(&Reply::Unsupported, &[]);
            }
            return;
        }
        match Command::start(&self.container, id, request, stdio) {
            Ok(command) => self.commands.push(command),
            Err(failure) => {
                let reply = Reply::ExecFailed {
                    errno: failure.errno,
                    detail: failure.to_string(),
                };
                if let Some(connection) = self.connection(id) {
                    connection.reply(&reply, &[]);
                }
            }
        }
    }

    /// Looks at all three sources of a command: whichever spoke, the others may have too.
    fn follow(&mut self, id: u64) {
        let Some(command) = self
            .commands
            .iter_mut()
            .find(|command| command.connection == id)
        else {
            return;
        };
        command.reap_helper();
        let mut replies = Vec::new();
        while command.status.as_ref().is_some_and(is_readable) {
            replies.extend(command.hear());
        }
        if let (Some(interceptor), Some(calls)) = (&mut self.interceptor, command.calls.take()) {
            interceptor.listen(calls);
        }
        // Its end is told after its beginning: until the beginning is known the pidfd stays readable.
        if command.status.is_none() {
            replies.extend(command.reap().map(|reply| (reply, None)));
        }
        if let Some(connection) = self.connection(id) {
            for (reply, master) in replies {
                let fds: Vec<_> = master.iter().map(AsFd::as_fd).collect();
                connection.reply(&reply, &fds);
            }
        }
    }

    fn try_reap_init(&self) -> Option<ExitCause> {
        match pidfd::try_reap(self.container.init.pidfd.as_fd()) {
            Ok(ended) => ended.map(ExitCause::from),
            // Reaped by nobody else; if the kernel says so, the container is gone all the same.
            Err(_error) => Some(ExitCause::Signal { signal: 9 }),
        }
    }

    /// Cleans up and tells. A record that can't be written (a full /run) is told to those who listen all the same.
    fn finish(mut self, cause: ExitCause) {
        self.container.console.drain();
        let unfinished: Vec<u64> = self
            .commands
            .iter()
            .map(|command| command.connection)
            .collect();
        for id in unfinished {
            self.follow(id);
        }
        let container = &self.container;
        drop(container.cgroup.kill());
        drop(container.cgroup.delete());
        let record = ExitRecord {
            instance: container.instance.clone(),
            cause,
            at: launch::now(),
        };
        drop(record.write(&container.runtime_dir));
        drop(fs::remove_file(container.runtime_dir.join(SOCKET)));
        let listeners = self
            .connections
            .iter_mut()
            .filter(|connection| connection.listens);
        for connection in listeners {
            connection.reply(&Reply::Exited { cause }, &[]);
        }
    }
}

fn is_readable(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1))
}
