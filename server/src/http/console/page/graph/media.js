// @ts-check
// Guesses the media of a pad from the document: from pads that an engine reported, from caps, and from names.
import { get, string } from '../json/parse.js';

/** @typedef {import('../json/parse.js').Value} Value */
/** @typedef {'audio' | 'video' | 'data' | ''} Media */

/** Patterns for names of elements, blocks and pads. A name that matches video and audio is neither. */
const VIDEO = /video|x26[45]|h26[45]|vp[89]|av1|jpeg|png|compositor|kms|v4l2|ndi_?video|cefsrc|imagefreeze|textoverlay|clockoverlay|chroma|multiview/;
const AUDIO = /audio|opus|aac|mp3|vorbis|flac|volume|level|alsa|pulse|jack|wavparse|wavenc|lame|equalizer|loudness/;
const DATA = /klv|subtitle|caption|metadata|(^|_)meta/;

/** @param {string | undefined} name @returns {Media} */
export function byName(name) {
  const text = (name ?? '').toLowerCase();
  const [video, audio] = [VIDEO.test(text), AUDIO.test(text)];
  if (video !== audio) return video ? 'video' : 'audio';
  return !video && DATA.test(text) ? 'data' : '';
}

/** Reads the member `media_type` that an engine reports. @param {Value | undefined} value @returns {Media} */
export function byType(value) {
  const text = (string(value) ?? '').toLowerCase();
  if (text.startsWith('video') || text.startsWith('image')) return 'video';
  if (text.startsWith('audio')) return 'audio';
  return text === '' || text === 'generic' || text === 'any' ? '' : 'data';
}

/** Reads caps: `video/x-raw,width=1920`, `application/x-rtp, media=(string)audio`. @param {string | undefined} caps @returns {Media} */
export function byCaps(caps) {
  const text = (caps ?? '').toLowerCase();
  const rtp = /media=\s*(?:\(string\)\s*)?"?(video|audio)/.exec(text);
  if (rtp) return /** @type {Media} */ (rtp[1]);
  return /^\s*(video|image)\//.test(text) ? 'video' : /^\s*audio\//.test(text) ? 'audio' : '';
}

/** Guesses the media of an element or block as a whole. @param {Value} node @param {string} kind @returns {Media} */
export function ofNode(node, kind) {
  const properties = get(node, 'properties');
  return byCaps(string(get(properties, 'caps'))) || byName(kind) || byName(string(get(properties, 'mode')));
}
