//! Stands before a registry of this host: notes each request, and lets some go wrong: [`Relay`].

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::stores::message;

/// What becomes of a request instead of its being passed on.
pub enum Fault {
    /// An answer of its own: the status, more headers, the body.
    Answer(u16, String, String),
    /// The answer breaks off after so many bytes of its body.
    CutAnswer(usize),
    /// The request breaks off after so many bytes of its body.
    CutRequest(usize),
    /// The answer is changed: its head, and its body.
    Change(fn(&mut String, &mut Vec<u8>)),
}

/// A request as it came by.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub authorization: String,
    pub body: String,
    /// Bytes of the body.
    pub length: usize,
}

type Decide = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

pub struct Relay {
    /// `http://localhost:PORT`
    pub url: String,
    decide: Arc<Mutex<Decide>>,
}

impl Relay {
    /// A relay before what listens at a port of this host.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let decides = decide.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let decides = decides.clone();
                thread::spawn(move || drop(pass(&client, port, &decides)));
            }
        });
        Self { url, decide }
    }

    /// From now on, what becomes of each request.
    pub fn fail(&self, decide: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
    }

    /// `localhost:PORT`
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

fn pass(client: &TcpStream, port: u16, decide: &Mutex<Decide>) -> std::io::Result<()> {
    let (mut reader, mut client) = (BufReader::new(client.try_clone()?), client.try_clone()?);
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut answers, mut server) = (BufReader::new(server.try_clone()?), server);
    while let Some((head, body)) = message(&mut reader, false)? {
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let authorization = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
        });
        let text = String::from_utf8_lossy(&body[..body.len().min(10_000)]).into_owned();
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            authorization: authorization.unwrap_or_default(),
            body: text,
            length: body.len(),
        };
        let fault = (decide.lock().unwrap())(&request);
        if let Some(Fault::Answer(status, headers, text)) = &fault {
            let length = text.len();
            client.write_all(
                format!("HTTP/1.1 {status} Fault\r\nContent-Length: {length}\r\n{headers}\r\n{text}").as_bytes(),
            )?;
            continue;
        }
        server.write_all(head.as_bytes())?;
        if let Some(Fault::CutRequest(length)) = fault {
            server.write_all(&body[..length.min(body.len())])?;
            break;
        }
        server.write_all(&body)?;
        let Some((mut head, mut body)) = message(&mut answers, method == "HEAD")? else { break };
        match fault {
            Some(Fault::CutAnswer(length)) if length < body.len() => {
                client.write_all(head.as_bytes())?;
                client.write_all(&body[..length])?;
                break;
            }
            Some(Fault::Change(change)) => change(&mut head, &mut body),
            _ => {}
        }
        client.write_all(head.as_bytes())?;
        client.write_all(&body)?;
    }
    drop(client.shutdown(std::net::Shutdown::Both));
    drop(server.shutdown(std::net::Shutdown::Both));
    Ok(())
}
