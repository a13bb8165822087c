"""One entry for each method: settings for the tests that all methods share."""

from typing import NamedTuple

from greedymm.settings import MethodSettings
from greedymm.training.methods.agm import Settings as Agm
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.methods.composition import Settings as Composition
from greedymm.training.methods.di_mml import Settings as DiMml
from greedymm.training.methods.g_blend import Settings as GBlend
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.methods.mla import Settings as Mla
from greedymm.training.methods.modality_dropout import Settings as ModalityDropout
from greedymm.training.methods.ogm_ge import Settings as OgmGe
from greedymm.training.methods.opm import Settings as Opm
from greedymm.training.methods.random import Settings as Random
from greedymm.training.methods.reconboost import Settings as ReconBoost
from greedymm.training.methods.relearn import Settings as Relearn
from greedymm.training.methods.remix import Settings as Remix
from greedymm.training.methods.smv import Settings as Smv


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
    "opm": Case(Opm.model_validate({"active": {"start": 2}}), neutral=Opm(share=0)),
    "di_mml": Case(DiMml(contrast_after=0.25, second_stage=0.25), joint=False),
    "reconboost": Case(ReconBoost()),
    "relearn": Case(Relearn(every=1, times=2), neutral=Relearn(every=1, strength=0)),
    "remix": Case(
        Remix.model_validate({"active": {"start": 2}}),
        neutral=Remix.model_validate({"weight_before": 1, "active": {"start": 99}}),
    ),
    "smv": Case(
        Smv.model_validate({"active": {"start": 2}}),
        neutral=Smv.model_validate({"level": "modality", "alpha": 0, "active": {"start": 2}}),
    ),
}
