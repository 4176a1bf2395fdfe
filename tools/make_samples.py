"""Makes `data_samples/`: a small clip with exactly known content, a silent one, and their metadata.

    python tools/make_samples.py [folder]        needs scikit-image, PyAV, OpenCV, Pillow, matplotlib (its font) and the program espeak-ng

All that happens in the clip is written in the tables below; the truth files are written from the same tables and checked by decoding.
"""
from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import matplotlib
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont
from scipy.io import wavfile
from scipy.signal import butter, resample_poly, sosfilt

W, H, FPS, SR = 640, 360, 25, 48000
SEED = 20240501
FONT = Path(matplotlib.get_data_path())/'fonts/ttf/DejaVuSans-Bold.ttf'

# ---------------------------------------------------------------------------------------------------- what happens in the clip

@dataclass
class Shot:
    "One camera move over one picture: the crop goes from `start` to `end`, both (centre x, centre y, width) in picture pixels."
    picture: str
    frames: int                  # new frames; a dissolve takes `dissolve` frames more, from the shot before
    start: tuple
    end: tuple
    caption: str = ''
    place: str = 'left'          # left or right corner, or middle
    dissolve: int = 0            # frames shared with the shot before

SHOTS = [Shot('hubble_deep_field', 120, (500, 436, 940), (530, 426, 720), 'FROM COFFEE TO SPACE', 'middle'),
         Shot('coffee', 90, (235, 205, 440), (345, 190, 420), '1 COFFEE'),
         Shot('chelsea', 70, (226, 150, 445), (236, 140, 350), '2 CAT'),
         Shot('camera', 75, (270, 215, 470), (215, 165, 330)),
         Shot('chelsea', 50, (190, 125, 225), (272, 132, 225)),
         Shot('coffee', 50, (292, 135, 250), (292, 150, 350)),
         Shot('rocket', 125, (320, 305, 380), (320, 175, 420), '3 ROCKET'),
         Shot('astronaut', 125, (250, 150, 500), (226, 116, 330), '4 ASTRONAUT', 'right', dissolve=20),
         Shot('hubble_deep_field', 95, (660, 430, 480), (640, 440, 600), 'SUBSCRIBE FOR MORE', 'middle')]
FADE_IN, FADE_OUT = 15, 20       # frames from and to black

SILENT_SHOTS = [Shot('rocket', 60, (320, 230, 600), (320, 200, 420)), Shot('coffee', 65, (350, 220, 420), (260, 180, 420))]

SPEECH = [(0.50, 'Welcome. This is a short trip from coffee to space.'),
          (5.05, 'First, a hot cup of coffee on a wooden table.'),
          (8.70, 'Then, a cat with green eyes.'),
          (25.90, 'And here is an astronaut.'),
          (28.70, 'Thank you for watching.')]
MUSIC_S, BPM, BEATS = (11.2, 23.2), 120, 24
CHORDS = ['C', 'Am', 'F', 'G', 'F', 'C']                # one a bar of four beats
SILENCE_S = (23.2, 25.6)                                # digital zero before encoding
FACES = {'astronaut': ((184, 62, 268, 178), 'frontal'), 'camera': ((180, 112, 252, 208), 'profile')}   # boxes in picture pixels

# ---------------------------------------------------------------------------------------------------- pictures

def picture(name:str) -> np.ndarray:
    "A picture of scikit-image as RGB."
    a = getattr(skimage.data, name)()
    a = a if a.ndim == 3 else np.repeat(a[..., None], 3, 2)
    return cv2.GaussianBlur(a, (0, 0), 0.7) if name == 'hubble_deep_field' else a   # its finest stars would flicker when scaled down

def crop_at(shot:Shot, t:float) -> tuple:
    "Centre and width of the crop at `t` from 0 to 1: the centre moves evenly, the zoom factor grows evenly."
    (x0, y0, w0), (x1, y1, w1) = shot.start, shot.end
    return x0+(x1-x0)*t, y0+(y1-y0)*t, w0*(w1/w0)**t

def to_frame(crop:tuple) -> np.ndarray:
    "The 2x3 matrix from picture pixels to frame pixels."
    x, y, w = crop
    s = W/w
    return np.array([[s, 0, (W-1)/2-s*x], [0, s, (H-1)/2-s*y]])

def caption(shot:Shot) -> tuple[np.ndarray, list[int]]:
    "The caption as RGBA of frame size, and the box of its letters."
    im = Image.new('RGBA', (W, H))
    if not shot.caption: return np.asarray(im, np.float32), []
    draw, middle = ImageDraw.Draw(im), shot.place == 'middle'
    font = ImageFont.truetype(str(FONT), 42 if middle else 30)
    xy, anchor = dict(middle=((W//2, H//2), 'mm'), left=((40, H-44), 'lm'), right=((W-40, H-44), 'rm'))[shot.place]
    x0, y0, x1, y1 = box = [int(v) for v in draw.textbbox(xy, shot.caption, font, anchor)]
    pad = 18 if middle else 12
    draw.rounded_rectangle((x0-pad, y0-pad, x1+pad, y1+pad), 8, fill=(8, 12, 24, 170))
    draw.rectangle((x0-pad, y1+pad-4, x1+pad, y1+pad) if middle else (x0-pad, y0-pad, x0-pad+5, y1+pad), fill=(255, 176, 32, 255))
    draw.text(xy, shot.caption, (255, 255, 255, 255), font, anchor)
    return np.asarray(im, np.float32), box

def shot_frames(shot:Shot) -> list[np.ndarray]:
    "All frames of a shot, with those of its dissolve, as float32."
    pic, n = picture(shot.picture), shot.frames+shot.dissolve
    over, _ = caption(shot)
    alpha, out = over[..., 3:]/255, []
    for i in range(n):
        f = cv2.warpAffine(pic, to_frame(crop_at(shot, i/(n-1))), (W, H), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        out.append(f*(1-alpha)+over[..., :3]*alpha)
    return out

def film(shots:list[Shot], fade_in:int=0, fade_out:int=0) -> Iterator[np.ndarray]:
    "The frames of a clip as uint8, one after the other."
    total, at, tail = sum(s.frames for s in shots), 0, []
    for k, s in enumerate(shots):
        fs, d = shot_frames(s), s.dissolve
        for j in range(d): fs[j] = tail[j]+(fs[j]-tail[j])*(j+1)/(d+1)
        own = len(fs)-(shots[k+1].dissolve if k+1 < len(shots) else 0)
        tail = fs[own:]
        for f in fs[:own]:
            if at < fade_in: f = f*(at/fade_in)
            if total-at <= fade_out: f = f*((total-1-at)/fade_out)
            yield np.rint(f.clip(0, 255)).astype(np.uint8)
            at += 1

# ---------------------------------------------------------------------------------------------------- sound

def say(text:str) -> np.ndarray:
    "One spoken passage at 48 kHz, cut to its first and last sound, at -20 dB RMS."
    with tempfile.TemporaryDirectory() as tmp:
        wav = f'{tmp}/a.wav'
        subprocess.run(['espeak-ng', '-v', 'en-us', '-s', '148', '-g', '1', '-w', wav, text], check=True)
        rate, y = wavfile.read(wav)
    y = resample_poly(y.astype(float)/32768, SR, rate)
    loud = np.flatnonzero(np.abs(y) > 0.004)
    y = y[loud[0]:loud[-1]+1]
    edge = np.minimum(1, np.minimum(np.arange(len(y)), np.arange(len(y))[::-1])/240)     # 5 ms, no clicks
    return y*edge*0.1/np.sqrt(np.mean(y**2))

def tone(freq:float, dur:float, decay:float, shape:tuple=(1.,)) -> np.ndarray:
    "A plucked tone: harmonics with weights `shape`, exponential decay."
    t = np.arange(round(dur*SR))/SR
    y = sum(a*np.sin(2*np.pi*freq*(k+1)*t) for k, a in enumerate(shape))
    return y*np.exp(-t/decay)*np.minimum(1, t/0.004)*np.minimum(1, (dur-t)/0.02)

def music(rng:np.random.Generator) -> np.ndarray:
    "Six bars in C major: drums, bass, wide chords and an arpeggio. Every beat starts with a kick. [sample, channel]"
    n, beat = round((MUSIC_S[1]-MUSIC_S[0])*SR), 60/BPM
    out = np.zeros((n, 2))
    roots = {'C': 48, 'Am': 45, 'F': 41, 'G': 43}
    def hz(midi:float) -> float: return 440*2**((midi-69)/12)
    def put(at:float, y:np.ndarray, gain:float, pan:float):                               # pan from 0 (left) to 1 (right)
        i = round(at*SR)
        y = y[:n-i]
        out[i:i+len(y)] += gain*y[:, None]*np.array([np.cos(pan*np.pi/2), np.sin(pan*np.pi/2)])
    t = np.arange(round(0.25*SR))/SR
    kick = np.sin(2*np.pi*(48*t+7*(1-np.exp(-t/0.03))))*np.exp(-t/0.09)
    noise = rng.standard_normal(len(t))
    snare = (sosfilt(butter(2, [900, 6000], 'bandpass', fs=SR, output='sos'), noise)+0.6*np.sin(2*np.pi*190*t))*np.exp(-t/0.06)
    hat = sosfilt(butter(4, 7000, 'highpass', fs=SR, output='sos'), noise)*np.exp(-t/0.025)
    for b in range(BEATS):
        name = CHORDS[b//4]
        notes = [roots[name]+i for i in ((0, 3, 7) if name.endswith('m') else (0, 4, 7))]
        put(b*beat, kick, 0.9, 0.5)
        put(b*beat, snare, 0.22 if b%2 else 0.14, 0.45)
        put((b+0.5)*beat, hat, 0.35, 0.7)
        put(b*beat, tone(hz(notes[0]-12), beat, 0.3, (1, 0.5, 0.2)), 0.35, 0.5)
        for h in range(2): put((b+h/2)*beat, tone(hz(notes[(2*b+h)%3]+24), 0.5, 0.18, (1, 0.3, 0.1)), 0.16, 0.25 if h else 0.75)
        if b%4 == 0:
            for k, m in enumerate(notes):
                for side, cents in ((0.1, -4), (0.9, 4)): put(b*beat, tone(hz(m+12+cents/100), 4*beat, 1.2, (1, 0.4, 0.25, 0.1)), 0.12, side)
    out[-2400:] *= np.linspace(1, 0, 2400)[:, None]                                        # 50 ms, then digital zero
    return out*0.12/np.sqrt(np.mean(out**2))

def sound() -> tuple[np.ndarray, list[dict]]:
    "The whole sound track [sample, channel] and the spoken passages with their times."
    rng, n = np.random.default_rng(SEED), round(sum(s.frames for s in SHOTS)/FPS*SR)
    out = rng.standard_normal((n, 2))*10**(-64/20)                                         # a faint room between the words
    a, b = (round(t*SR) for t in MUSIC_S)
    out[a:b] = music(rng)
    a, b = (round(t*SR) for t in SILENCE_S)
    out[a:b] = 0
    passages = []
    for start, text in SPEECH:
        y, i = say(text), round(start*SR)
        out[i:i+len(y)] += y[:, None]
        words = ''.join(c for c in text.lower() if c.isalpha() or c == ' ').split()
        passages.append(dict(start_s=start, end_s=round(start+len(y)/SR, 3), text=text, words=words))
    assert np.abs(out).max() < 0.95, 'the sound track clips'
    return out.astype(np.float32), passages

# ---------------------------------------------------------------------------------------------------- file

def encode(path:Path, frames:Iterator[np.ndarray], audio:np.ndarray|None, crf:int):
    "H.264 with B-frames, a keyframe at least every 4 s, AAC. One thread and no dates, so that the same input gives the same file."
    with av.open(str(path), 'w', options=dict(fflags='+bitexact', movflags='+faststart')) as c:
        v = c.add_stream('libx264', rate=FPS, options=dict(crf=str(crf), preset='veryslow', bf='3', g=str(4*FPS), threads='1'))
        v.width, v.height, v.pix_fmt, v.time_base = W, H, 'yuv420p', Fraction(1, FPS)
        v.codec_context.flags |= av.codec.context.Flags.bitexact
        if audio is not None:
            a = c.add_stream('aac', rate=SR, layout='stereo', bit_rate=96000)
            a.codec_context.flags |= av.codec.context.Flags.bitexact
        step = SR//FPS
        for i, f in enumerate(frames):
            vf = av.VideoFrame.from_ndarray(f, format='rgb24')
            vf.pts, vf.time_base = i, Fraction(1, FPS)
            c.mux(v.encode(vf))
            if audio is None: continue
            af = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[i*step:(i+1)*step].T), format='fltp', layout='stereo')
            af.sample_rate, af.pts, af.time_base = SR, i*step, Fraction(1, SR)
            c.mux(a.encode(af))
        c.mux(v.encode(None))
        if audio is not None: c.mux(a.encode(None))

# ---------------------------------------------------------------------------------------------------- truth

def seconds(frame:int) -> float: return round(frame/FPS, 3)

def transitions(shots:list[Shot]) -> list[dict]:
    "The transitions between shots. A cut happens at the time its first frame is shown; a dissolve lasts while both are seen."
    out, at = [], 0
    for k, s in enumerate(shots):
        if k and s.dissolve:
            a = at-s.dissolve
            out.append(dict(type='dissolve', start_frame=a, end_frame=at-1, frames=s.dissolve, first_frame_of_new_shot=at,
                            start_s=seconds(a), end_s=seconds(at)))
        elif k: out.append(dict(type='cut', first_frame_of_new_shot=at, start_s=seconds(at), end_s=seconds(at)))
        at += s.frames
    return out

def segments(shots:list[Shot]) -> list[dict]:
    "The shots with what the camera does in frame units: `zoom` is the growth of the picture, `pan` the shift of its middle in widths."
    out, at = [], 0
    for s in shots:
        first, n = at-s.dissolve, s.frames+s.dissolve
        (x0, y0, w0), (x1, y1, w1) = s.start, s.end
        out.append(dict(source=s.picture, first_frame=first, frames=n, start_s=seconds(first), end_s=seconds(first+n),
                        crop_start=list(s.start), crop_end=list(s.end), zoom=round(w0/w1, 5),
                        pan=[round((x0-x1)/w0, 5), round((y0-y1)/w0, 5)]))
        at += s.frames
    return out

def texts_on_screen(shots:list[Shot], clip_frames:int) -> list[dict]:
    "Captions with the time in which they are fully there."
    out, at = [], 0
    for k, s in enumerate(shots):
        a, b = at, at+s.frames-(shots[k+1].dissolve if k+1 < len(shots) else 0)
        if k == 0: a = FADE_IN
        if b == clip_frames: b -= FADE_OUT
        if s.caption: out.append(dict(text=s.caption, start_s=seconds(a), end_s=seconds(b), box=caption(s)[1]))
        at += s.frames
    return out

def faces(shots:list[Shot]) -> list[dict]:
    "Faces with the time in which they are fully there, and the box [x0, y0, x1, y1] in the first and last frame of that time."
    out, at = [], 0
    for s in shots:
        if s.picture in FACES:
            box, view = FACES[s.picture]
            n = s.frames+s.dissolve
            def at_frame(i:int) -> list[int]:
                p = to_frame(crop_at(s, i/(n-1)))@np.array([[box[0], box[2]], [box[1], box[3]], [1, 1]])
                return [int(round(v)) for v in (p[0, 0], p[1, 0], p[0, 1], p[1, 1])]
            out.append(dict(who=s.picture, view=view, start_s=seconds(at), end_s=seconds(at+s.frames),
                            box_start=at_frame(s.dissolve), box_end=at_frame(n-1)))
        at += s.frames
    return out

def truth(name:str, shots:list[Shot], passages:list[dict]|None) -> dict:
    "Everything that is true of a clip."
    n = sum(s.frames for s in shots)
    out = dict(file=name, fps=FPS, width=W, height=H, frames=n, duration_s=seconds(n), transitions=transitions(shots), segments=segments(shots))
    if passages is None: return dict(out, has_audio=False)
    return dict(out, has_audio=True,
                fades_at_the_ends=[dict(type='fade_from_black', start_frame=0, end_frame=FADE_IN-1, frames=FADE_IN),
                                   dict(type='fade_to_black', start_frame=n-FADE_OUT, end_frame=n-1, frames=FADE_OUT)],
                texts=texts_on_screen(shots, n), faces=faces(shots),
                audio=dict(sample_rate=SR, channels=2, samples=n*SR//FPS, language='en', speech=passages,
                           transcript=' '.join(p['text'] for p in passages),
                           music=dict(start_s=MUSIC_S[0], end_s=MUSIC_S[1], tempo_bpm=BPM, key='C major', chords=CHORDS, beats_per_bar=4,
                                      beats_s=[round(MUSIC_S[0]+b*60/BPM, 3) for b in range(BEATS)]),
                           silence=[dict(start_s=SILENCE_S[0], end_s=SILENCE_S[1])]))

# ---------------------------------------------------------------------------------------------------- metadata, all invented

VIDEO_ID = 'tfSample_01'
PUBLISHED = dt.datetime(2024, 5, 1, 15, 0, tzinfo=dt.timezone.utc)
T0 = dt.datetime(2024, 5, 4, 12, 0, tzinfo=dt.timezone.utc)
DESCRIPTION = """A very short trip in four pictures: a cup of coffee, a cat, a rocket and an astronaut. 🚀

0:00 Welcome
0:04 Coffee
0:08 Cat
0:18 Rocket
0:23 Astronaut

How this clip was made: https://example.org/trendflow/sample
Questions? Write them below, I read every comment!

#coffee #cats #space"""
# id, parent, hours after publishing, likes, author, text
COMMENTS = [('UgwSampleA01', 'root', 0.2, 5, 'first_in_line', 'First! Love the cat.'),
            ('UgwSampleA02', 'root', 0.6, 31, 'Orbital Kitchen', 'Thanks for watching! What should the next trip show? 🌍🪐'),
            ('UgwSampleA02.r1', 'UgwSampleA02', 1.1, 4, 'nora reads', 'Please do the deep sea next.'),
            ('UgwSampleA03', 'root', 2.5, 12, 'pixelpeter', 'The cut from the cat to the coffee is right on the beat. Nice editing.'),
            ('UgwSampleA04', 'root', 5.0, 9, 'Café Azul', '¡Qué bonito! El gato tiene unos ojos preciosos. Saludos desde Sevilla.'),
            ('UgwSampleA05', 'root', 7.75, 2, 'rocket_fan_77', '🚀🚀🚀😻☕'),
            ('UgwSampleA06', 'root', 11.0, 0, 'skeptical sam', 'Not sure about the robot voice. It sounds like 1995.'),
            ('UgwSampleA07', 'root', 20.5, 7, 'mina', 'Who is the astronaut at 0:24? She has a great smile.'),
            ('UgwSampleA08', 'root', 26.0, 1, 'deal hunter', 'Cheap headphones, visit https://example.com/deals now!!!'),
            ('UgwSampleA09', 'root', 44.0, 3, 'Lesezeichen', 'Kurz und schön. Welche Musik ist das?'),
            ('UgwSampleA10', 'root', 60.5, 0, 'tea_person', 'no tea? unsubscribed :)'),
            ('UgwSampleA11', 'root', 80.0, 0, 'late_larry', 'I came here from the newsletter. Great clip!')]
FAVOURITE = 'UgwSampleA03'
CHANNEL, CHANNEL_ID, HANDLE = 'Orbital Kitchen', 'UCtrendflowSample0000001', '@orbitalkitchen'

def counters() -> list[dict]:
    "One row a day from t0 to 22 days after. Likes fall once (day 9) and are missing once (day 12)."
    rng, rows = np.random.default_rng(SEED), []
    views, likes, comments, ch_views = 4812, 286, len(COMMENTS), 1_904_377
    for day in range(23):
        if day:
            new = round((820*np.exp(-day/5.5)+70)*rng.uniform(0.85, 1.15))
            views, ch_views, comments = views+new, ch_views+new+int(rng.integers(900, 1500)), comments+int(rng.poisson(0.0022*new))
            likes += -6 if day == 9 else round(0.052*new)
        rows.append(dict(video_id=VIDEO_ID, time=(T0+dt.timedelta(days=day)).strftime('%Y-%m-%dT%H:%M:%SZ'), views=views,
                         likes='' if day == 12 else likes, comments=comments, channel_subscribers=12300+100*(day//6),
                         channel_views=ch_views, channel_videos=41+(day >= 6)+(day >= 15)))
    return rows

def comment(id:str, parent:str, hours:float, likes:int, author:str, text:str) -> dict:
    "A comment in the form of yt-dlp."
    own = author == CHANNEL
    author_id = CHANNEL_ID if own else 'UCviewer'+''.join(c for c in author.lower() if c.isascii() and c.isalnum()).ljust(16, '0')[:16]
    handle = HANDLE if own else '@'+author.lower().replace(' ', '')
    return dict(id=id, parent=parent, text=text, like_count=likes, author_id=author_id, author=handle, author_thumbnail=None, author_is_uploader=own,
                author_is_verified=False, author_url=f'https://www.youtube.com/{handle}', is_favorited=id == FAVOURITE, is_pinned=own,
                _time_text=f'{max(0, round((T0-PUBLISHED).total_seconds()/3600-hours))} hours ago', timestamp=int(PUBLISHED.timestamp()+hours*3600))

def info_json(clip:Path, now:dict) -> dict:
    "What yt-dlp would have written at t0."
    n = sum(s.frames for s in SHOTS)
    url = f'https://www.youtube.com/watch?v={VIDEO_ID}'
    marks = [(0, 'Welcome'), (4, 'Coffee'), (8, 'Cat'), (18, 'Rocket'), (23, 'Astronaut'), (n//FPS, '')]
    return dict(
        id=VIDEO_ID, title='From Coffee to Space in 32 Seconds ☕🚀', thumbnail=f'https://i.ytimg.com/vi/{VIDEO_ID}/hqdefault.jpg',
        description=DESCRIPTION,
        channel_id=CHANNEL_ID, channel_url=f'https://www.youtube.com/channel/{CHANNEL_ID}', duration=n//FPS, view_count=now['views'],
        average_rating=None, age_limit=0, webpage_url=url, categories=['Education'],
        tags=['coffee', 'cat', 'rocket', 'astronaut', 'space', 'short trip', 'pictures'], playable_in_embed=True, live_status='not_live',
        media_type='video', release_timestamp=None, automatic_captions={}, subtitles={}, comment_count=now['comments'],
        chapters=[dict(start_time=float(a), title=t, end_time=float(b)) for (a, t), (b, _) in zip(marks, marks[1:])], heatmap=None,
        like_count=now['likes'], channel=CHANNEL, channel_follower_count=now['channel_subscribers'], channel_is_verified=False, uploader=CHANNEL,
        uploader_id=HANDLE, uploader_url=f'https://www.youtube.com/{HANDLE}', upload_date=f'{PUBLISHED:%Y%m%d}', timestamp=int(PUBLISHED.timestamp()),
        availability='public', original_url=url, webpage_url_basename='watch', webpage_url_domain='youtube.com', extractor='youtube',
        extractor_key='Youtube', playlist=None, playlist_index=None, display_id=VIDEO_ID, fulltitle='From Coffee to Space in 32 Seconds ☕🚀',
        duration_string=str(n//FPS), release_year=None, is_live=False, was_live=False, requested_subtitles=None, _has_drm=None,
        epoch=int(T0.timestamp()),
        comments=[comment(*c) for c in COMMENTS], format='18 - 640x360 (360p)', format_id='18', ext='mp4', protocol='https', language='en',
        format_note='360p', filesize_approx=clip.stat().st_size, tbr=round(clip.stat().st_size*8/1000/(n/FPS), 3), width=W, height=H,
        resolution=f'{W}x{H}', fps=FPS, dynamic_range='SDR', vcodec='avc1.64001F', vbr=None, stretched_ratio=None, aspect_ratio=round(W/H, 2),
        acodec='mp4a.40.2', abr=None, asr=SR, audio_channels=2, _type='video')

# ---------------------------------------------------------------------------------------------------- check

def check(clip:Path, true:dict, made:np.ndarray|None):
    "Decodes a clip and compares it with its truth."
    with av.open(str(clip)) as c:
        grey, times, keys = [], [], []
        for f in c.decode(video=0):
            grey.append(cv2.resize(f.to_ndarray(format='gray'), (160, 90), interpolation=cv2.INTER_AREA).astype(float))
            times.append(f.time)
            if f.key_frame: keys.append(f.time)
    assert len(times) == true['frames'] and np.allclose(times, np.arange(len(times))/FPS, atol=1e-6), f'{clip}: frame times are off'
    assert max(np.diff([*keys, true['duration_s']])) <= 4.001, f'{clip}: keyframes are too rare'
    jump = np.array([0, *(np.abs(b-a).mean() for a, b in zip(grey, grey[1:]))])
    cuts = [t['first_frame_of_new_shot'] for t in true['transitions'] if t['type'] == 'cut']
    rest = np.delete(jump, cuts)
    assert jump[cuts].min() > 2.5*rest.max(), f'{clip}: weakest cut {jump[cuts].min():.1f}, strongest motion {rest.max():.1f}'
    assert all(abs(times[t['first_frame_of_new_shot']]-t['end_s']) < 1e-6 for t in true['transitions'])
    print(f'{clip.name}: {len(times)} frames, {len(keys)} keyframes, {clip.stat().st_size} bytes, '
          f'weakest cut {jump[cuts].min():.1f}, strongest motion {rest.max():.1f}')
    with av.open(str(clip)) as c:
        if not true['has_audio']: return print('  no audio stream', [s.type for s in c.streams])
        blocks = [(f.time, f.to_ndarray()) for f in c.decode(audio=0)]
    y = np.concatenate([b for _, b in blocks], 1)
    a = true['audio']
    assert blocks[0][0] == 0 and y.shape == (2, a['samples']), f'{clip}: sound from {blocks[0][0]} s, {y.shape}'
    lag = np.argmax(np.fft.irfft(np.fft.rfft(y[0])*np.conj(np.fft.rfft(made[:, 0])), y.shape[1]))
    assert lag == 0, f'{clip}: the sound is late by {lag} samples'
    s = a['silence'][0]
    quiet = np.abs(y[:, int((s['start_s']+0.05)*SR):int((s['end_s']-0.05)*SR)]).max()
    assert quiet == 0, f'{clip}: silence is {quiet}'
    print(f'  {y.shape[1]} samples, peak {np.abs(y).max():.3f}, silence exact')

# ---------------------------------------------------------------------------------------------------- all of it

def write_json(path:Path, x:dict): path.write_text(json.dumps(x, indent=1, ensure_ascii=False)+'\n', encoding='utf-8')

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('folder', nargs='?', default='data_samples', type=Path)
    out = p.parse_args().folder
    out.mkdir(parents=True, exist_ok=True)
    audio, passages = sound()
    jobs = [('sample', SHOTS, audio, passages, film(SHOTS, FADE_IN, FADE_OUT), 25), ('silent', SILENT_SHOTS, None, None, film(SILENT_SHOTS), 26)]
    for name, shots, wave, said, frames, crf in jobs:
        clip, true = out/f'{name}.mp4', truth(f'{name}.mp4', shots, said)
        encode(clip, frames, wave, crf)
        check(clip, true, wave)
        write_json(out/f'{name}.truth.json', true)
    rows = counters()
    write_json(out/'sample.info.json', info_json(out/'sample.mp4', rows[0]))
    with (out/'snapshots.csv').open('w', newline='', encoding='utf-8') as f:
        w = csv.DictWriter(f, list(rows[0]), lineterminator='\n')
        w.writeheader()
        w.writerows(rows)

if __name__ == '__main__': main()
