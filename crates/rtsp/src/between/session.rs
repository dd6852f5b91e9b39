//! What passes between the library and a server, without a socket: the server is asked at its own URL and with the
//! password, and the library hears what it understands.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http_auth::{PasswordClient, PasswordParams};

use super::cutter::{Cutter, Piece};
use super::head::Head;
use super::mend;
use crate::wire::{Item, Message, Reader, Start, Violation};
use crate::{Address, Error};

/// A request that is not answered yet.
#[derive(Debug)]
struct Asked {
    /// As the library says it, but with the server's URL.
    message: Message,
    method: String,
    uri: String,
    /// The library's number of it.
    cseq: u32,
    /// A password was asked for since, and given.
    challenged: bool,
}

/// Both directions of one connection.
#[derive(Debug)]
pub(super) struct Session {
    /// The URL that the library asks for, which nobody else knows.
    here: String,
    /// The URL as the user wrote it.
    there: String,
    login: Option<(String, String)>,
    auth: Option<PasswordClient>,
    requests: Reader,
    answers: Cutter,
    asked: Option<Asked>,
    has_begun: bool,
    /// How many requests were said again: so far the server's numbers are ahead of the library's.
    ahead: u32,
    /// The body that comes is of an answer that the library does not get.
    skips: bool,
    to_server: VecDeque<Bytes>,
    to_library: VecDeque<Bytes>,
}

impl Session {
    pub(super) fn new(address: &Address, here: &str) -> Self {
        Self {
            here: here.to_owned(),
            there: address.url.as_str().to_owned(),
            login: address.credentials.clone(),
            auth: None,
            requests: Reader::default(),
            answers: Cutter::default(),
            asked: None,
            has_begun: false,
            ahead: 0,
            skips: false,
            to_server: VecDeque::new(),
            to_library: VecDeque::new(),
        }
    }

    /// Whether the library has asked for its URL, which shows that it is the library.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes bytes of the library.
    pub(super) fn handle_library(&mut self, bytes: BytesMut) -> Result<(), Error> {
        self.requests.handle_bytes(bytes);
        while let Some(item) = self.requests.poll()? {
            // The library sends no packets and is asked for nothing.
            let Item::Message(mut message) = item else { continue };
            let cseq = message.cseq().unwrap_or_default();
            let Start::Request { method, uri } = &mut message.start else { continue };
            if *uri == self.here {
                uri.clone_from(&self.there);
                self.has_begun = true;
            } else if !self.has_begun {
                // Somebody else on this machine.
                return Err(Violation::Line.into());
            }
            let (method, uri) = (method.clone(), uri.clone());
            self.asked = Some(Asked { message, method, uri, cseq, challenged: false });
            self.say()?;
        }
        Ok(())
    }

    /// Takes bytes of the server.
    pub(super) fn handle_server(&mut self, bytes: BytesMut) -> Result<(), Error> {
        self.answers.handle_bytes(bytes);
        while let Some(piece) = self.answers.poll()? {
            match piece {
                Piece::Packets(packets) => self.to_library.push_back(packets),
                Piece::Body(_) if self.skips => {}
                Piece::Body(body) => self.to_library.push_back(body),
                Piece::Head(head) => {
                    let heard = self.answered(head)?;
                    self.skips = heard.is_none();
                    self.to_library.extend(heard);
                }
            }
        }
        Ok(())
    }

    pub(super) fn poll_server(&mut self) -> Option<Bytes> {
        self.to_server.pop_front()
    }

    pub(super) fn poll_library(&mut self) -> Option<Bytes> {
        self.to_library.pop_front()
    }

    /// What the library gets of an answer.
    fn answered(&mut self, mut head: Head) -> Result<Option<Bytes>, Error> {
        let Some(status) = head.status() else { return Ok(Some(head.encode())) };
        if status < 200 {
            // An interim answer announces the real one.
            return Ok(None);
        }
        let number = head.value("CSeq").map(|number| number.parse::<u32>().ok());
        let is_it = |asked: &mut Asked| number.is_none_or(|number| number == Some(asked.cseq.wrapping_add(self.ahead)));
        let Some(mut asked) = self.asked.take_if(|asked| is_it(asked)) else { return Ok(Some(head.encode())) };
        if status == 401 && self.login.is_some() {
            if asked.challenged {
                return Err(Error::Login);
            }
            let challenges: Vec<_> = head.values("WWW-Authenticate").collect();
            let builder = challenges.iter().fold(PasswordClient::builder(), |all, challenge| all.challenges(challenge));
            self.auth = Some(builder.build().map_err(|_| Error::Credentials)?);
            asked.challenged = true;
            self.ahead = self.ahead.wrapping_add(1);
            self.asked = Some(asked);
            self.say()?;
            return Ok(None);
        }
        head.set("CSeq", &asked.cseq.to_string());
        if (200..300).contains(&status) {
            self.mend(&mut head, &asked);
        }
        Ok(Some(head.encode()))
    }

    /// Puts right what the library refuses in an answer that the server means well.
    fn mend(&self, head: &mut Head, asked: &Asked) {
        match asked.method.as_str() {
            // The library would take its own URL, which the server does not know.
            "DESCRIBE" if head.value("Content-Base").or_else(|| head.value("Content-Location")).is_none() => {
                head.set("Content-Base", &self.there);
            }
            "SETUP" => {
                let proposed = asked.message.header("Transport").and_then(mend::proposed);
                let answer = head.value("Transport");
                if let Some(mended) = proposed.and_then(|first| mend::transport(answer.as_deref(), first)) {
                    head.set("Transport", &mended);
                }
                if let Some(number) = head.value("Session") {
                    head.set("Session", &mend::session(&number));
                }
            }
            _ => {}
        }
    }

    /// Says what is asked at the moment.
    fn say(&mut self) -> Result<(), Error> {
        let Some(asked) = &self.asked else { return Ok(()) };
        let mut message = asked.message.clone();
        let number = asked.cseq.wrapping_add(self.ahead).to_string();
        for (_, value) in message.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("CSeq")) {
            value.clone_from(&number);
        }
        if let (Some(auth), Some((username, password))) = (&mut self.auth, &self.login) {
            let how = PasswordParams { username, password, uri: &asked.uri, method: &asked.method, body: None };
            let value = auth.respond(&how).map_err(|_| Error::Credentials)?;
            message.headers.push(("Authorization".to_owned(), value));
        }
        self.to_server.push_back(message.encode());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
