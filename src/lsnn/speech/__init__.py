"""Speech: corpora in TIMIT's layout, their labels, features of the sound, and a corpus that anyone can make.

audio.py (sphere.py, riff.py), labels.py (textgrid.py) and phones.py read; corpus.py and speakers.py find and split;
check.py says what a copy has; features.py and frames.py compute; making.py and what it imports speak.
"""
