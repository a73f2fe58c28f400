use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::world::engine::body;

const SMALL: Limit = Limit { bytes: 10_000, time: Duration::from_millis(300) };

/// Asks a server that answers with these parts, again and again with a pause between; gives what is told of it.
async fn told(parts: &'static [&'static [u8]], pause: u64, marked: bool) -> Result<usize, Obstacle> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let serve = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = [0; 1000];
        assert!(client.read(&mut request).await.unwrap() > 0);
        for part in parts.iter().chain(std::iter::repeat(parts.last().unwrap())) {
            if client.write_all(part).await.is_err() {
                break;
            }
            crate::world::host::sleep(pause).await;
        }
        std::future::pending::<()>().await;
    };
    let meter = Meter::new(SMALL);
    let ask = async {
        let transport =
            Transport { way: Way::Socket(path.clone()), watcher: None, api: Arc::default(), name: String::new() };
        transport.api.settle(NEWEST);
        let request = Request::get("http://engine/x").extension(meter.clone()).body(String::new()).unwrap();
        let mut answer = transport.send(request).await?.into_body();
        let mut taken = 0;
        while marked && taken < 100_000 {
            let frame = std::future::poll_fn(|context| Pin::new(&mut answer).poll_frame(context)).await;
            taken += frame.unwrap()?.into_data().unwrap().len();
            meter.mark();
        }
        if marked { Ok(taken) } else { body(answer).await.map(|content| content.len()) }
    };
    tokio::select! {
        found = ask => found.map_err(|error: Cause| Obstacle::of(&error).unwrap_or_else(|| panic!("{error:?}"))),
        () = serve => unreachable!(),
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

#[tokio::test]
async fn an_answer_without_an_end_is_cut_by_its_bytes() {
    let Err(Obstacle::Limit(told)) = told(&[HEAD, &[b'x'; 1000]], 0, false).await else { panic!() };
    assert_eq!(told, "it is larger than what is read of it (9 KiB in 0 s at most)");
}

#[tokio::test]
async fn a_dripping_answer_is_cut_by_its_time_wherever_it_drips() {
    for parts in [&[HEAD, b"x"], &[b"HTTP/1.1 200 OK\r\n", b"a"], &[b"", b""]] as [&'static [&'static [u8]]; 3] {
        let Err(Obstacle::Limit(told)) = told(parts, 20, false).await else { panic!("{parts:?}") };
        assert!(told.starts_with("it does not come to an end in time"), "{told}");
    }
}

#[tokio::test]
async fn a_stream_may_be_of_any_size_as_long_as_its_parts_are_small() {
    assert!(told(&[HEAD, &[b'x'; 1000]], 0, true).await.unwrap() >= 100_000);
}
