# Nothing but the interpreter itself and the harness.
#
#   sys.modules --> {site, os, codecs, ...}
import _truth

_truth.hold()
