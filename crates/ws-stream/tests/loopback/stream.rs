//! A generated FLV stream whose frames can be recognised in every output.

/// `AVCDecoderConfigurationRecord` of a 320x240 baseline stream.
pub(crate) const AVC_320: &[u8] =
    b"\x01\x42\xc0\x0d\xff\xe1\x00\x18\x67\x42\xc0\x0d\xd9\x01\x41\xfb\x01\x10\x00\x00\x03\x00\x10\x00\
\x00\x03\x03\x20\xf1\x42\xa4\x80\x01\x00\x05\x68\xcb\x83\xcb\x20";
/// `AVCDecoderConfigurationRecord` of a 640x360 baseline stream.
pub(crate) const AVC_640: &[u8] =
    b"\x01\x42\xc0\x1e\xff\xe1\x00\x19\x67\x42\xc0\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\
\x00\x00\x03\x00\x32\x0f\x16\x2e\x48\x01\x00\x05\x68\xcb\x83\xcb\x20";
/// `AudioSpecificConfig` of AAC-LC, 44.1 kHz, mono.
pub(crate) const AAC: &[u8] = b"\x12\x08";

/// Milliseconds between pictures.
pub(crate) const PICTURE_MS: u32 = 40;
/// Pictures between key frames.
pub(crate) const GOP: u32 = 10;

/// The file header with its `PreviousTagSize0`, announcing pictures and sound.
pub(crate) fn header() -> Vec<u8> {
    b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00".to_vec()
}

/// One tag with its `PreviousTagSize`.
pub(crate) fn tag(kind: u8, at_ms: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    let time = at_ms.to_be_bytes();
    let mut tag = vec![kind, size[1], size[2], size[3], time[1], time[2], time[3], time[0], 0, 0, 0];
    tag.extend(body);
    tag.extend(u32::try_from(11 + body.len()).unwrap().to_be_bytes());
    tag
}

/// The sequence header of H.264.
pub(crate) fn avc_header(at_ms: u32, record: &[u8]) -> Vec<u8> {
    tag(9, at_ms, &[b"\x17\x00\x00\x00\x00", record].concat())
}

/// The sequence header of AAC.
pub(crate) fn aac_header(at_ms: u32) -> Vec<u8> {
    tag(8, at_ms, &[b"\xaf\x00", AAC].concat())
}

/// The payload of picture `number`: one NAL unit with its number in it, and some size.
pub(crate) fn picture(number: u32, bytes: usize) -> Vec<u8> {
    let mut nal = vec![if number.is_multiple_of(GOP) { 0x65 } else { 0x41 }];
    nal.extend(format!("picture {number:08}").bytes());
    nal.resize(bytes.max(nal.len()), u8::try_from(number % 251).unwrap());
    [&u32::try_from(nal.len()).unwrap().to_be_bytes()[..], &nal].concat()
}

/// The payload of the sound that goes with picture `number`.
pub(crate) fn sound(number: u32) -> Vec<u8> {
    format!("sound {number:08} sounds").into_bytes()
}

/// The tags of picture `number` and its sound, `from_ms` after the clock's start.
pub(crate) fn step(number: u32, from_ms: u32, bytes: usize) -> Vec<u8> {
    let at = from_ms + number * PICTURE_MS;
    let kind: &[u8] = if number.is_multiple_of(GOP) { b"\x17\x01\x00\x00\x00" } else { b"\x27\x01\x00\x00\x00" };
    let mut tags = tag(8, at, &[b"\xaf\x01", &sound(number)[..]].concat());
    tags.extend(tag(9, at, &[kind, &picture(number, bytes)].concat()));
    tags
}

/// Header, sequence headers and pictures `0..count` of about `bytes` bytes.
pub(crate) fn clip(count: u32, bytes: usize) -> Vec<u8> {
    let mut clip = header();
    clip.extend(avc_header(0, AVC_320));
    clip.extend(aac_header(0));
    (0..count).for_each(|number| clip.extend(step(number, 0, bytes)));
    clip
}
