//! What is fuzzed: each parser that reads bytes of a peer, behind a function that takes any bytes and must return.
//!
//! `cargo xtask fuzz` runs them under libFuzzer where a nightly toolchain is present. The seeds in `seeds/TARGET/` run
//! through the same functions as ordinary tests, whole, cut short and damaged.

use bytes::{Bytes, BytesMut};
use sluicegate_flv::{amf0, audio, video};
use sluicegate_media::{aac, av1, avc, hevc, opus};
use sluicegate_ws_stream::frame;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and its folder of seeds.
    pub name: &'static str,
    /// Takes any bytes. A panic is a finding.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets.
pub const TARGETS: [Target; 22] = [
    target("avc_configuration", avc_configuration),
    target("hevc_configuration", hevc_configuration),
    target("av1_configuration", av1_configuration),
    target("aac_configuration", aac_configuration),
    target("opus_head", opus_head),
    target("flv_reader", sluicegate_flv::fuzz_reader),
    target("flv_video", flv_video),
    target("flv_audio", flv_audio),
    target("amf0", amf0_values),
    target("cascade", sluicegate_cascade::fuzz_decoder),
    target("wcs", sluicegate_wcs::fuzz),
    target("segment_index", sluicegate_p2p::index::fuzz_index),
    target("media_scan", sluicegate_p2p::origin::fuzz_scan),
    target("websocket_frames", websocket_frames),
    target("rtmp_chunks", sluicegate_rtmp::protocol::fuzz_reader),
    target("rtmp_server", sluicegate_rtmp::protocol::fuzz_server),
    target("rtsp_server", sluicegate_rtsp::fuzz_server),
    target("rtsp_client", sluicegate_rtsp::fuzz_client),
    target("onvif_interview", sluicegate_onvif::fuzz_interview),
    target("onvif_matches", sluicegate_onvif::fuzz_matches),
    target("rtp_inbound", sluicegate_rtp::fuzz_inbound),
    target("webrtc_offer", sluicegate_webrtc_relay::fuzz_offer),
];

fn avc_configuration(data: &[u8]) {
    if let Ok(configuration) = avc::DecoderConfigurationRecord::parse(data) {
        let _ = (configuration.rfc6381(), configuration.video_info());
    }
}

fn hevc_configuration(data: &[u8]) {
    if let Ok(configuration) = hevc::DecoderConfigurationRecord::parse(data) {
        let _ = (configuration.rfc6381(), configuration.video_info());
    }
}

fn av1_configuration(data: &[u8]) {
    if let Ok(configuration) = av1::CodecConfigurationRecord::parse(data) {
        let _ = (configuration.rfc6381(), configuration.video_info());
    }
}

fn aac_configuration(data: &[u8]) {
    if let Ok(configuration) = aac::AudioSpecificConfig::parse(data) {
        let _ = (configuration.rfc6381(), configuration.audio_info());
    }
}

fn opus_head(data: &[u8]) {
    let _ = opus::audio_info(data);
}

fn flv_video(data: &[u8]) {
    let _ = video::parse(Bytes::copy_from_slice(data));
}

fn flv_audio(data: &[u8]) {
    let _ = audio::parse(Bytes::copy_from_slice(data));
}

/// What can be read can be written and reads back the same.
fn amf0_values(data: &[u8]) {
    let Ok(values) = amf0::decode(Bytes::copy_from_slice(data)) else { return };
    let mut out = BytesMut::new();
    values.iter().for_each(|value| amf0::encode(value, &mut out));
    let again = amf0::decode(out.freeze());
    // Numbers that are none differ from themselves, so texts are compared.
    assert_eq!(format!("{again:?}"), format!("Ok({values:?})"), "written values read back differently");
}

fn websocket_frames(data: &[u8]) {
    let (mut parser, mut rest) = (frame::Parser::default(), data);
    while let Ok(Some(_)) = parser.next(&mut rest) {}
}
