//! `strom health`: asks a running server whether it is healthy or ready.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clap::Args;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Position, Url};

use super::answer::Answer;
use super::failure::Failure;
use super::output::print;
use crate::config::Flags;

/// Maximum time for a response. `/ready` takes little more than a second at most.
const TIMEOUT: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Exits with 0 if the server is healthy, with 1 if it is not or does not respond within five
seconds, and with 2 if no server is reachable. Neither route requires a key.

Examples:
  strom health                             the server at --host and --port
  strom health --ready                     and its storage is reachable and migrated
  strom health --server http://10.0.0.7:8080";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Ask the server at this URL [default: the address of --host and --port]
    #[arg(long, value_name = "URL", value_parser = server)]
    server: Option<Url>,

    /// Ask whether the server can serve requests (`/ready`), not only whether it runs (`/health`)
    #[arg(long)]
    ready: bool,
}

fn server(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.ok_or("use a URL such as http://127.0.0.1:8080, without TLS")
}

pub(super) async fn run(flags: &Flags, Arguments { server, ready }: Arguments) -> Result<Answer, Failure> {
    let server = server.map_or_else(|| configured(flags), Ok)?;
    let route = if ready { "/ready" } else { "/health" };
    // Without user and password.
    let shown = format!("http://{}", &server[Position::BeforeHost..Position::AfterPort]);
    let state = match timeout(TIMEOUT, ask(&server, route)).await {
        Ok(Ok(StatusCode::OK)) => {
            print(&format!("{shown} is {}", if ready { "ready" } else { "healthy" }))?;
            return Ok(Answer::Done);
        }
        Ok(Ok(status)) => format!("{route} returned {}", status.as_u16()),
        Ok(Err(source)) => return Err(Failure::NoServer { server: shown, source }),
        Err(_) => format!("{route} did not respond within {} seconds", TIMEOUT.as_secs()),
    };
    print(&format!("{shown} is not {}: {state}", if ready { "ready" } else { "healthy" }))?;
    Ok(Answer::No)
}

/// Returns the address of the server with these settings.
fn configured(flags: &Flags) -> Result<Url, Failure> {
    let (host, port) = flags.address()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    let host = match bare.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => format!("[{}]", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => bare.to_owned(),
    };
    Url::parse(&format!("http://{host}:{port}")).map_err(|error| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, error);
        Failure::NoServer { server: format!("{host}:{port}"), source: source.into() }
    })
}

/// Returns the status of the response to a GET request.
async fn ask(server: &Url, route: &str) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
    let host = server.host_str().unwrap_or_default();
    let port = server.port_or_known_default().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = format!("{}{route}", server.path().trim_end_matches('/'));
    let authority = &server[Position::BeforeHost..Position::AfterPort];
    let request = Request::get(path).header(HOST, authority).body(String::new())?;
    Ok(requests.send_request(request).await?.status())
}
