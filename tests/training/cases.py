"""One entry for each method: settings for the tests that all methods share."""

from typing import NamedTuple

from greedymm.settings import MethodSettings
from greedymm.training.methods.agm import Settings as Agm
from greedymm.training.methods.anti_balance import Settings as AntiBalance
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.methods.cagrad import Settings as CAGrad
from greedymm.training.methods.composition import Settings as Composition
from greedymm.training.methods.dgl import Settings as Dgl
from greedymm.training.methods.di_mml import Settings as DiMml
from greedymm.training.methods.finetune import Settings as Finetune
from greedymm.training.methods.g2d import Settings as G2d
from greedymm.training.methods.g_blend import Settings as GBlend
from greedymm.training.methods.gradnorm import Settings as GradNorm
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.methods.inforeg import Settings as InfoReg
from greedymm.training.methods.lfm import Settings as Lfm
from greedymm.training.methods.miles import Settings as Miles
from greedymm.training.methods.mla import Settings as Mla
from greedymm.training.methods.mlb import Settings as Mlb
from greedymm.training.methods.mmcosine import Settings as MMCosine
from greedymm.training.methods.mmpareto import Settings as MMPareto
from greedymm.training.methods.modality_dropout import Settings as ModalityDropout
from greedymm.training.methods.mses import Settings as Mses
from greedymm.training.methods.mslr import Settings as Mslr
from greedymm.training.methods.ogm_ge import Settings as OgmGe
from greedymm.training.methods.opm import Settings as Opm
from greedymm.training.methods.pcgrad import Settings as PCGrad
from greedymm.training.methods.pmr import Settings as Pmr
from greedymm.training.methods.random import Settings as Random
from greedymm.training.methods.reconboost import Settings as ReconBoost
from greedymm.training.methods.relearn import Settings as Relearn
from greedymm.training.methods.remix import Settings as Remix
from greedymm.training.methods.rubi import Settings as Rubi
from greedymm.training.methods.smv import Settings as Smv
from greedymm.training.methods.tcmax import Settings as TcMax
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
    "lfm": Case(
        Lfm.model_validate({"rate": 0.1, "active": {"stop": 2}}), neutral=Lfm.model_validate({"active": {"start": 9}})
    ),
    "ogm_ge": Case(OgmGe(), neutral=OgmGe(alpha=0, noise=False)),
    "agm": Case(Agm(), neutral=Agm(alpha=0, clip=None, additive=True)),
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
    "mlb": Case(Mlb(), neutral=Mlb(alpha=0)),
    "pmr": Case(Pmr(alpha=0.3, share=0.5), neutral=Pmr.model_validate({"active": {"start": 99}})),
    "mmpareto": Case(MMPareto(), neutral=MMPareto.model_validate({"active": {"start": 99}})),
    "pcgrad": Case(PCGrad(), neutral=PCGrad.model_validate({"active": {"start": 99}})),
    "cagrad": Case(CAGrad(), neutral=CAGrad.model_validate({"active": {"start": 99}})),
    "gradnorm": Case(GradNorm(), neutral=GradNorm.model_validate({"active": {"start": 99}})),
    "dgl": Case(Dgl(alpha=1.5)),
    "inforeg": Case(InfoReg(), neutral=InfoReg(threshold=1)),
    "mslr": Case(Mslr(memory=2, objective="multi"), neutral=Mslr(dynamic=False)),
    "mses": Case(Mses(patience=1, smoothing=0.2), neutral=Mses.model_validate({"active": {"start": 9}, "patience": 1})),
    "miles": Case(Miles(tau=0, gamma=2), neutral=Miles(mu=1)),
    "anti_balance": Case(AntiBalance(), neutral=AntiBalance(alpha=0)),
    "tcmax": Case(TcMax()),
    "ume": Case(Ume()),
    "finetune": Case(Finetune()),
    "umt": Case(Umt(weight=2.0, teacher_epochs=2), neutral=Umt(weight=0, teacher_epochs=1)),
    "g2d": Case(G2d(teacher_epochs=2), neutral=G2d(logits=0, features=0, share=0, teacher_epochs=1)),
    "rubi": Case(Rubi()),
    "mmcosine": Case(MMCosine()),
}
