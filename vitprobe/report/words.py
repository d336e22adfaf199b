"""What a page says of each analysis beside its numbers: a title, a line, whom to cite."""

from __future__ import annotations

TITLES = {
    "cka": "Similarity of layers (CKA)",
    "attention": "How far heads look",
    "head_subsets": "Local and global heads",
    "skips": "Skips and branches",
    "receptive_field": "Receptive fields",
    "localization": "Place in the image",
    "dominant": "Dominant examples",
    "probe": "What layers know",
    "maps": "Attention in single images",
    "features": "Feature maps of single images",
    "finetuning": "What fine-tuning changes",
    "compare": "Models at a glance",
    "compare_training": "Training",
    "training": "Training, epoch by epoch",
    "data_size": "More and less data",
    "model_size": "Small and large models",
}
ASKED = {
    "cka": "How alike are two layers' activations of the same images? 1: alike up to rotation and "
    "scale; 0: no more than chance.",
    "attention": "How far from a patch does the attention of each head reach, and how widely is it "
    "spread?",
    "head_subsets": "Are the most local heads more like early layers of the other model than the "
    "most global ones?",
    "skips": "In every residual sum: how strong is what skips the branch beside what the branch "
    "adds?",
    "receptive_field": "Which pixels does the centre of each layer depend on?",
    "localization": "Does a token of a late layer still know its place in the image?",
    "dominant": "Do a few examples make the blocks in a map of similarities?",
    "probe": "What does each layer know of the class? Accuracy of probes on its activations.",
    "maps": "Where does the model look in an image?",
    "features": "What do the layers compute of an image?",
    "finetuning": "Which blocks does fine-tuning, or an epoch, change?",
    "compare": "Which of many models are alike?",
    "compare_training": "How well did these runs learn?",
    "training": "How did this run learn?",
    "data_size": "What does a model need more data for?",
    "model_size": "Are small models like large ones?",
}

RAGHU = """@inproceedings{raghu2021vision,
  title = {Do Vision Transformers See Like Convolutional Neural Networks?},
  author = {Raghu, Maithra and Unterthiner, Thomas and Kornblith, Simon and Zhang, Chiyuan and \
Dosovitskiy, Alexey},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {34},
  year = {2021},
  note = {arXiv:2108.08810}
}"""
KORNBLITH = """@inproceedings{kornblith2019similarity,
  title = {Similarity of Neural Network Representations Revisited},
  author = {Kornblith, Simon and Norouzi, Mohammad and Lee, Honglak and Hinton, Geoffrey},
  booktitle = {International Conference on Machine Learning},
  year = {2019},
  note = {arXiv:1905.00414}
}"""
NGUYEN = """@inproceedings{nguyen2021wide,
  title = {Do Wide and Deep Networks Learn the Same Things? Uncovering How Neural Network \
Representations Vary with Width and Depth},
  author = {Nguyen, Thao and Raghu, Maithra and Kornblith, Simon},
  booktitle = {International Conference on Learning Representations},
  year = {2021},
  note = {arXiv:2010.15327}
}"""
OF_CKA = ("cka", "head_subsets", "localization", "dominant", "finetuning", "compare")


def citation(analyses: set[str], version: str) -> str:
    """BibTeX of the papers that these analyses are of, and of vitprobe."""
    own = f"@software{{vitprobe,\n  title = {{vitprobe}},\n  version = {{{version}}}\n}}"
    papers = [KORNBLITH, NGUYEN] if analyses & set(OF_CKA) else []
    return "\n\n".join([RAGHU, *papers, own])
