"""One entry for each method: settings for the tests that all methods share."""

from typing import NamedTuple

from greedymm.settings import MethodSettings
from greedymm.training.methods.agm import Settings as Agm
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.methods.composition import Settings as Composition
from greedymm.training.methods.finetune import Settings as Finetune
from greedymm.training.methods.g2d import Settings as G2d
from greedymm.training.methods.g_blend import Settings as GBlend
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.methods.mla import Settings as Mla
from greedymm.training.methods.mmcosine import Settings as MMCosine
from greedymm.training.methods.modality_dropout import Settings as ModalityDropout
from greedymm.training.methods.ogm_ge import Settings as OgmGe
from greedymm.training.methods.random import Settings as Random
from greedymm.training.methods.rubi import Settings as Rubi
from greedymm.training.methods.ume import Settings as Ume
from greedymm.training.methods.umt import Settings as Umt


class Case(NamedTuple):
    """A method on the tiny network of `tiny`, which trains four epochs of five steps."""

    settings: MethodSettings  # with these it acts
    neutral: MethodSettings | None = None  # with these it is greedy training to the bit; None: it has no such settings
    two_only: bool = False  # it refuses three modalities
    joint: bool = True  # it works with a joint head


CASES = {
    "greedy": Case(Greedy()),
    "balanced": Case(Balanced(tolerance=0.05, window=3), neutral=Balanced(tolerance=1e9), joint=False),
    "random": Case(Random(), joint=False),
    "composition": Case(
        Composition.model_validate({"parts": ["ogm_ge", {"method": "modality_dropout", "p": 0.4}]}),
        neutral=Composition.model_validate(
            {"parts": [{"method": "ogm_ge", "alpha": 0, "noise": False}, {"method": "modality_dropout", "p": 0}]}
        ),
    ),
    "ogm_ge": Case(OgmGe(), neutral=OgmGe(alpha=0, noise=False)),
    "agm": Case(Agm(), neutral=Agm(alpha=0, additive=True)),
    "g_blend": Case(GBlend(super_epoch=2, probe=1)),
    "mla": Case(Mla()),
    "modality_dropout": Case(ModalityDropout(p=0.4), neutral=ModalityDropout(p=0)),
    "ume": Case(Ume()),
    "finetune": Case(Finetune()),
    "umt": Case(Umt(weight=2.0, teacher_epochs=2), neutral=Umt(weight=0, teacher_epochs=1)),
    "g2d": Case(G2d(teacher_epochs=2), neutral=G2d(logits=0, features=0, share=0, teacher_epochs=1)),
    "rubi": Case(Rubi()),
    "mmcosine": Case(MMCosine()),
}
