//! A folder of videos, with curl and ffmpeg as clients.

use std::path::Path;
use std::time::Duration;

use sluicegate_testbed::media::hashes;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::soon;
use tempfile::TempDir;
use tokio::process::Command;

use crate::client::Node;

const VIDEO: &str = "-an -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -sc_threshold 0";

async fn run(program: &Path, arguments: &str) -> std::process::Output {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).kill_on_drop(true);
    soon(arguments, command.output()).await.unwrap()
}

/// A folder with a video of a picture and a sound stream, one as `WebM`, and one of a single file.
async fn folder(ffmpeg: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("film-one");
    std::fs::create_dir(&own).unwrap();
    for (name, options) in [
        ("film-one/134.mp4", format!("{VIDEO} -movflags +dash+global_sidx+frag_keyframe")),
        ("film-one/140.mp4", "-vn -c:a aac -movflags +empty_moov+default_base_moof -frag_duration 1000000".to_owned()),
        ("film-one/242.webm", "-an -c:v libvpx -deadline realtime -g 25 -cues_to_front 1".to_owned()),
        ("single-film.mp4", format!("{} -c:a aac -movflags +faststart", VIDEO.replace("-an ", ""))),
    ] {
        let sources = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=4 -f lavfi -i sine=frequency=440:duration=4";
        let path = folder.path().join(name);
        let output = run(ffmpeg, &format!("-loglevel error {sources} {options} {}", path.display())).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::write(own.join("de.xml"), "<transcript>hallo</transcript>").unwrap();
    std::fs::write(own.join("en.xml"), "<transcript>hello</transcript>").unwrap();
    std::fs::write(own.join("poster.jpg"), b"a picture").unwrap();
    folder
}

async fn node(folder: &TempDir) -> Node {
    Node::start(&["--media", folder.path().to_str().unwrap()], &[]).await
}

#[tokio::test]
async fn ffmpeg_plays_the_manifest_as_the_files() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = folder(&ffmpeg).await;
    let node = node(&folder).await;
    for (query, name) in [("", "134.mp4"), ("?v=242", "242.webm")] {
        let url = format!("http://{}/video/film-one.mpd{query}", node.address);
        for (kind, name) in [('v', name), ('a', "140.mp4")] {
            let source = std::fs::read(folder.path().join("film-one").join(name)).unwrap();
            let expected = hashes(&ffmpeg, &source, kind).await;
            let arguments = format!("-hide_banner -loglevel warning -xerror -i {url} -map 0:{kind} -f framemd5 -");
            let output = run(&ffmpeg, &arguments).await;
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && complaints.is_empty(), "{complaints}");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let played: Vec<_> = lines.filter_map(|line| Some(line.rsplit(',').next()?.trim().to_owned())).collect();
            assert!(played.len() >= 100 && played == expected, "{url} {kind}: {} frames", played.len());
        }
    }
    // A player seeks in a file that is served as a whole.
    let url = format!("http://{}/video/single-film.mp4", node.address);
    let output = run(&ffmpeg, &format!("-loglevel error -xerror -ss 3 -i {url} -f null -")).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn curl_resumes_and_revalidates() {
    let (Some(ffmpeg), Some(curl)) = (find(Peer::Ffmpeg), find(Peer::Curl)) else { return };
    let folder = folder(&ffmpeg).await;
    let node = node(&folder).await;
    let source = std::fs::read(folder.path().join("film-one/134.mp4")).unwrap();
    let (file, etag) = (folder.path().join("got"), folder.path().join("etag"));
    let url = format!("http://{}/video/film-one/134.mp4", node.address);
    std::fs::write(&file, &source[..1_000]).unwrap();
    let resumed = run(&curl, &format!("-sS -f -C - -o {} {url}", file.display())).await;
    assert!(resumed.status.success() && std::fs::read(&file).unwrap() == source);
    let options = format!("-sS -f -w %{{http_code}} -o {}", file.display());
    let (saves, compares) = (format!("--etag-save {}", etag.display()), format!("--etag-compare {}", etag.display()));
    for (more, expected) in [(saves, "200"), (compares, "304"), (format!("-z {}", file.display()), "304")] {
        let output = run(&curl, &format!("{options} {more} {url}")).await;
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{more}");
    }
}

#[tokio::test]
async fn every_route_has_its_headers() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = folder(&ffmpeg).await;
    let node = node(&folder).await;
    let source = std::fs::read(folder.path().join("film-one/134.mp4")).unwrap();
    for (path, mime, cache, body) in [
        ("film-one.json", "application/json; charset=utf-8", "public,max-age=864000", None),
        ("film-one.mpd", "application/dash+xml", "public,max-age=864000", None),
        (
            "film-one.xml",
            "text/xml; charset=UTF-8",
            "public,max-age=864000",
            Some(&b"<transcript>hallo</transcript>"[..]),
        ),
        (
            "film-one.xml?lang=en",
            "text/xml; charset=UTF-8",
            "public,max-age=864000",
            Some(b"<transcript>hello</transcript>"),
        ),
        (
            "film-one.xml?lang=xx",
            "text/xml; charset=UTF-8",
            "public,max-age=864000",
            Some(b"<transcript>hello</transcript>"),
        ),
        ("film-one.jpg", "image/jpeg", "public,max-age=864000", Some(b"a picture")),
        ("film-one/134/0-9.ts", "video/mp4", "public, max-age=864000", Some(&source[..10])),
        ("film-one/134.mp4", "video/mp4", "public, max-age=864000", Some(&source)),
        ("film-one/134.webm", "video/mp4", "public, max-age=864000", Some(&source)),
    ] {
        let path = format!("/video/{path}");
        let answer = node.get(&path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, mime), "{path}");
        assert_eq!(answer.header("cache-control"), cache, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("access-control-max-age"), "864000", "{path}");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{path}");
        assert!(body.is_none_or(|body| body == answer.body), "{path}: other bytes");
        let etag = answer.header("etag").to_owned();
        let known = node.ask("GET", &path, &[&format!("If-None-Match: {etag}")]).await;
        assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, etag.as_str()), "{path}");
        let head = node.ask("HEAD", &path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), answer.header("content-length"), "{path}");
        let preflight = node.ask("OPTIONS", &path, &["Access-Control-Request-Headers: range"]).await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (204, "range"), "{path}");
        assert_eq!(node.ask("PUT", &path, &[]).await.header("allow"), "GET, HEAD, OPTIONS", "{path}");
    }
}

#[tokio::test]
async fn parts_ranges_and_what_there_is_not() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = folder(&ffmpeg).await;
    let node = node(&folder).await;
    let source = std::fs::read(folder.path().join("film-one/134.mp4")).unwrap();
    let last = source.len() - 1;
    let ranged = node.ask("GET", "/video/film-one/134.mp4", &["Range: bytes=5-14"]).await;
    assert_eq!((ranged.status, ranged.body.as_slice()), (206, &source[5..15]));
    assert_eq!(ranged.header("content-range"), format!("bytes 5-14/{}", source.len()));
    let beyond = node.ask("GET", "/video/film-one/134.mp4", &["Range: bytes=99999999-"]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{}", source.len()).as_str()));
    // A part is a resource of its own: ranges of it are not looked at, its end is cut at the stream's.
    let path = format!("/video/film-one/134/{}-99999999.ts", last - 4);
    let part = node.ask("GET", &path, &["Range: bytes=0-0"]).await;
    assert_eq!((part.status, part.body.as_slice()), (200, &source[last - 4..]));
    assert_eq!(node.get("/video/film-one/134/99-0.ts").await.status, 416);
    let download = node.get("/video/single-film.mp4?download=1").await;
    assert_eq!(download.header("content-disposition"), "attachment; filename*=UTF-8''single-film.mp4");
    assert!(download.body == std::fs::read(folder.path().join("single-film.mp4")).unwrap());
    for (path, status) in [
        ("/video/film-one.webp", 404),
        ("/video/film-one/999.mp4", 404),
        ("/video/film-one/134/0-.ts", 404),
        ("/video/film-one/134/999.sha256", 404),
        ("/video/single-film.mpd", 404),
        ("/video/..%2f..%2fetc.json", 404),
        ("/", 404),
    ] {
        assert_eq!(node.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_is_seen() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = folder(&ffmpeg).await;
    let node = node(&folder).await;
    let path = "/video/film-one/134.mp4";
    let before = node.get(path).await;
    let other = std::fs::read(folder.path().join("single-film.mp4")).unwrap();
    let place = folder.path().join("film-one/134.mp4");
    std::fs::write(folder.path().join("new"), &other).unwrap();
    std::fs::rename(folder.path().join("new"), &place).unwrap();
    let seen = sluicegate_testbed::until("the new file", || async {
        let answer = node.get(path).await;
        (answer.status == 200 && answer.header("etag") != before.header("etag")).then_some(answer)
    });
    let seen = tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
    assert!(seen.body == other);
}
