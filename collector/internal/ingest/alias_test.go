package ingest

import (
	"yunhe/internal/records"
	"yunhe/internal/seglog"
	"yunhe/internal/series"
)

type row = series.Row

var scopeAll = records.Scope{All: true}

func osFS() seglog.FS { return seglog.OS() }
