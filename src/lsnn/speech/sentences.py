"""Sentences to speak: a small grammar over words chosen so that every phone of English comes often."""

import random
from collections.abc import Iterator

WORDS = {
    "person": (
        "the judge,my uncle,a young nurse,the old sailor,her brother,our teacher,the tall boy,a shy girl,the butcher,"
        "his mother,the mayor,a foreign visitor,the cheerful baker,an usher,the royal cook,my youngest cousin,"
        "the thirsty driver,a noisy neighbour,the chief engineer,their father,a quiet author,the village doctor,"
        "someone from Asia,the shepherd,an orphan,the magician,a rude customer,the tailor,each pupil,nobody here,"
        "Ruth,George,Zoe,Hugh,Joyce,Theo,Charlotte,Vincent,Yvonne,Owen,Judith,Walter,Naomi,Phoebe,Douglas,Irene"
    ),
    "plural": (
        "children,farmers,soldiers,the boys,both twins,three judges,many voters,few guests,the girls,young actors,"
        "engineers,all dancers,the others,most teachers,four thieves,the watchmen,our cousins,these women,tourists"
    ),
    "verb": (
        "watched,found,bought,chose,enjoyed,carried,washed,pushed,threw,measured,sold,painted,refused,borrowed,moved,"
        "noticed,forgot,polished,shook,buried,brought,ordered,destroyed,caught,divided,touched,covered,followed,"
        "lost,reached,described,hid,burned,stitched,mixed,guarded,exchanged,judged,imagined,adored,avoided,pulled"
    ),
    "present": (
        "watch,find,buy,choose,enjoy,carry,wash,push,throw,measure,sell,paint,use,borrow,move,notice,polish,shake,"
        "bring,order,catch,divide,touch,cover,follow,lose,reach,describe,hide,burn,stitch,mix,guard,judge,imagine"
    ),
    "thing": (
        "a yellow bottle,the garage door,two wooden chairs,the measuring cup,an oily rag,a leather bag,the bright coin,"
        "his dusty boots,a bowl of soup,the huge zebra,some cheese,a thick book,the azure vase,six eggs,a worn shirt,"
        "the broken toy,fresh butter,her wedding ring,a loud drum,the garden hose,an empty jar,the poison,a short poem,"
        "the northern path,a beige jacket,good advice,the music box,a silver spoon,that cotton dress,eight oranges,"
        "the usual treasure,a choir of voices,the iron kettle,a pair of gloves,five new stamps,the whole shelf,"
        "a bunch of flowers,the television,this math puzzle,a birthday cake,the rough cloth,an apple pie,the bathtub,"
        "a box of matches,the junction,an old guitar,a yacht,the television mast,wool and thread,the engine,a feather"
    ),
    "place": (
        "near the river,in the kitchen,under the bridge,at the harbour,behind the church,by the fire,on the roof,"
        "outside the village,along the shore,in the garage,beyond the hill,at the zoo,inside the vault,"
        "beside the pool,across the valley,at school,around the corner,in the fog,over the moor,between the houses,"
        "on the other side,below the cliff,against the wall,at the edge of the wood,through the archway"
    ),
    "time": (
        "yesterday,this morning,on Thursday,before noon,last year,every evening,at eight o'clock,in July,after lunch,"
        "once a month,in the autumn,just now,at dawn,early on Sunday,during the voyage,for an hour,twice,"
        "since February,long ago,all night,with pleasure,for no reason,by mistake,in a hurry"
    ),
    "adverb": "slowly,quietly,rather badly,usually,carefully,with joy,cheerfully,without thinking,quickly,roughly",
    "quality": (
        "thin,rusty,smooth,casual,worth a fortune,annoying,bitter,huge,cool and damp,very loud,purple,dangerous,"
        "thorough,yellowish,royal,soft as wool,unusual,pure gold,good for you,shiny,sore,youthful,vague,rare,"
        "awfully cold,cheap,genuine,rough,average,wet through,joyful,full of holes,too heavy,either"
    ),
    "subject": (
        "the weather,your answer,this mixture,the cure,that noise,the path,his voice,the treasure,such a decision,"
        "the water,the theory,the journey,our choice,her beard of feathers,the wage,the measure,a good alloy,the air"
    ),
    "question": "why,when,how often,where,with whose help",
}
"""phrases by their part in a sentence, separated by commas"""

PATTERNS = (
    "{person} {verb} {thing} {place}.",
    "{time}, {person} {verb} {thing}.",
    "{plural} {verb} {thing} {adverb}.",
    "{question} did {person} {present} {thing}?",
    "{subject} was {quality}, but {person} {verb} {thing}.",
    "{person} and {person} {verb} {thing} {time}.",
    "do {plural} ever {present} {thing}?",
    "please {present} {thing} {place}.",
    "{subject} is {quality} {place}.",
    "{person} said that {subject} seemed {quality}.",
    "nobody could {present} {thing} {place} {time}.",
    "{plural} should {present} {thing}, or {subject} will be {quality}.",
)

CHOICES = {part: phrases.split(",") for part, phrases in WORDS.items()}


def sentences(seed: int) -> Iterator[str]:
    """Different sentences without end, the same for the same seed."""
    draw, said = random.Random(f"sentences/{seed}"), set()
    while True:
        words = draw.choice(PATTERNS)
        for part, phrases in CHOICES.items():
            while "{" + part + "}" in words:
                words = words.replace("{" + part + "}", draw.choice(phrases), 1)
        text = words[0].upper() + words[1:]
        if text not in said:
            said.add(text)
            yield text
