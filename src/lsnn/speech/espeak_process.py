"""A process that speaks: sentences in, samples and phonemes out, by way of the library espeak-ng.

    python espeak_process.py < job.json > speech.bin

job: {"library", "data": paths; "voice"; "rate", "volume", "pitch", "range": numbers; "texts": [...]}
out: for each text a line of JSON, {"rate", "n_samples", "phonemes": [[sample, name], ...], "words": [[sample, place,
     length], ...]}, and its samples, 16 bit.

It imports nothing of lsnn.  A process of its own for each speaker, because the library carries random and voice state
from sentence to sentence: so a corpus is the same in however many processes at a time it is made.
"""

import ctypes
import json
import sys

SYNCHRONOUS, PHONEME_EVENTS, UTF8 = 2, 1, 1
PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4}
END, WORD, PHONEME = 0, 1, 7


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


def main() -> int:
    job = json.load(sys.stdin)
    library = ctypes.CDLL(job["library"])
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, job["data"].encode(), PHONEME_EVENTS)
    if rate <= 0:
        print("espeak-ng finds no data", file=sys.stderr)
        return 1
    pcm, phonemes, words = bytearray(), [], []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
    def take(samples, count, events):
        if samples and count > 0:
            pcm.extend(ctypes.string_at(samples, 2 * count))
        k = 0
        while events[k].type != END:
            event = events[k]
            if event.type == PHONEME:
                phonemes.append([event.sample, event.id.string.decode()])
            elif event.type == WORD:
                words.append([event.sample, event.text_position, event.length])
            k += 1
        return 0

    library.espeak_SetSynthCallback(take)
    if library.espeak_SetVoiceByName(job["voice"].encode()):
        print(f"espeak-ng has no voice {job['voice']}", file=sys.stderr)
        return 1
    for name, parameter in PARAMETERS.items():
        library.espeak_SetParameter(parameter, job[name], 0)
    for text in job["texts"]:
        for part in (pcm, phonemes, words):
            part.clear()
        raw = text.encode()
        library.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, UTF8, None, None)
        line = {"rate": rate, "n_samples": len(pcm) // 2, "phonemes": phonemes, "words": words}
        sys.stdout.buffer.write(json.dumps(line).encode() + b"\n" + bytes(pcm))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
