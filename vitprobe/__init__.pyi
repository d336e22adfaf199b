"""What type checkers and editors see of `vitprobe`, whose names are loaded when first asked for."""

from vitprobe.analyses import (
    AttentionReader as AttentionReader,
    CKAReader as CKAReader,
    CompareReader as CompareReader,
    DominantReader as DominantReader,
    FinetuningReader as FinetuningReader,
    HeadSubsetsReader as HeadSubsetsReader,
    LocalizationReader as LocalizationReader,
    MeasuresReader as MeasuresReader,
    PaperReader as PaperReader,
    ProbeReader as ProbeReader,
    ReceptiveFieldReader as ReceptiveFieldReader,
    SkipsReader as SkipsReader,
    attention as attention,
    cka as cka,
    cka_features as cka_features,
    compare as compare,
    compare_results as compare_results,
    compare_training as compare_training,
    data_size as data_size,
    dominant as dominant,
    features as features,
    finetuning as finetuning,
    head_subsets as head_subsets,
    load_matrix as load_matrix,
    load_result as load_result,
    localization as localization,
    maps as maps,
    match_layers as match_layers,
    merge as merge,
    model_size as model_size,
    paper as paper,
    probe as probe,
    receptive_field as receptive_field,
    run as run,
    skips as skips,
)
from vitprobe.data import (
    load_data as load_data,
)
from vitprobe.figures import (
    plot as plot,
)
from vitprobe.measures import (
    similarity as similarity,
)
from vitprobe.models import (
    load_model as load_model,
)
from vitprobe.passes import (
    Reader as Reader,
)
from vitprobe.probes import (
    probe_features as probe_features,
)
from vitprobe.report import (
    page as page,
)
from vitprobe.taps import (
    survey as survey,
)
from vitprobe.training import (
    train as train,
)

__version__: str
