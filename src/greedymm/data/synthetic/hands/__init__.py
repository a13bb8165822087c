"""Hand gestures before a colour and a depth camera, as of a driver in a car: procedural clips (generated data).

Eight gestures are told by where the hand goes, which both cameras see. The others keep it in its place:

- `push`, `pull`, `knock` and `hold` are one open hand at a distance that changes in its own way. The colour camera
  sees no distance: given the same random numbers, their colour clips are the same in every byte.
- `open`, `close`, `point` and `two_fingers` are told by the fingers, of which the depth camera, being coarse and
  blind to what is thin, sees hardly anything: to it they are like `hold`, which thus takes both cameras.
"""

from greedymm.data.synthetic.hands.camera import Clip, clip, filmed
from greedymm.data.synthetic.hands.depth import FAR, NEAR
from greedymm.data.synthetic.hands.gestures import DISTANCE_TELLS, FINGERS_TELL, GESTURES, PLACE_TELLS
from greedymm.data.synthetic.hands.subject import Subject

__all__ = [
    "DISTANCE_TELLS",
    "FAR",
    "FINGERS_TELL",
    "GESTURES",
    "NEAR",
    "PLACE_TELLS",
    "Clip",
    "Subject",
    "clip",
    "filmed",
]
