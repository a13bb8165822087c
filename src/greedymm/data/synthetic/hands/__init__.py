"""Hand gestures before a color and a depth camera, as of a driver in a car: procedural clips (generated data).

Eight gestures differ in the path of the hand, which both cameras see. The others keep the hand in its place:

- `push`, `pull`, `knock` and `hold` differ in the distance of an open hand. The color camera sees no distance: with
  the same random numbers, their color clips are the same in every byte.
- `open`, `close`, `point` and `two_fingers` differ in the fingers. The depth camera is coarse and blind to thin
  objects: there they look like `hold`. So `hold` takes both cameras.
"""

from greedymm.data.synthetic.hands.camera import Clip, clip, filmed
from greedymm.data.synthetic.hands.depth import FAR, NEAR
from greedymm.data.synthetic.hands.gestures import BY_DISTANCE, BY_FINGERS, BY_PATH, GESTURES
from greedymm.data.synthetic.hands.subject import Subject

__all__ = [
    "BY_DISTANCE",
    "BY_FINGERS",
    "BY_PATH",
    "FAR",
    "GESTURES",
    "NEAR",
    "Clip",
    "Subject",
    "clip",
    "filmed",
]
